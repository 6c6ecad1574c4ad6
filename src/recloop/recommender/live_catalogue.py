"""Live catalogue: a packaged model with the changes of items since packaging.

It has no store, thread or clock of its own. Rules of items (availability, dates, categories,
deletion) take effect at once. Texts are encoded by the packaged encoder, which takes milliseconds
each, so the caller decides when (`encode_pending`). A new item joins once its text is encoded; an
existing item whose text has changed keeps its old text until then.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from recloop import columns as c
from recloop.data.catalogue import Rows, item_texts
from recloop.data.live_items import LiveItem, to_frame
from recloop.recommender.recommender import Recommender
from recloop.scoring.new_items import BlendWithNewItems
from recloop.scoring.query.search_index import ItemUpdates
from recloop.scoring.query.title_index import tokenise
from recloop.scoring.text_neighbours import (
    ApproximateTextNeighbourIndex,
    TextNeighbourIndex,
    TextNeighbours,
    concatenate_neighbours,
)

# Title of an item and its text for the encoder.
EncodedText = tuple[str | None, str]


@dataclass(frozen=True)
class PendingItem:
    """Item whose text is not encoded yet."""

    item: LiveItem
    text: str

    @property
    def encoded_text(self) -> EncodedText:
        """Return title and text, on which the encoding depends."""
        return self.item.title, self.text


@dataclass(frozen=True)
class EncodedItem:
    """Encoded item.

    Attributes:
        encoded_text: Title and text that were encoded.
        vector: Text vector, shape `(width,)`.
        neighbours: Warm items that are nearest to it, one row.
    """

    encoded_text: EncodedText
    vector: NDArray[np.float32]
    neighbours: TextNeighbours


@dataclass(frozen=True)
class LiveCatalogue:
    """Recommender over the packaged items and their changes. Immutable: a change makes a new one.

    Attributes:
        base: The model as packaged.
        recommender: The model over the changed catalogue.
        text_neighbours: Makes the index of text neighbours of the packaged items, at first use.
        sequence: Sequence number of the last change.
        pending: Items whose texts are not encoded yet, by id.
        encoded_texts: Texts that were encoded since packaging, by item id.
        neighbours: Neighbours of the items that are not in the package.
    """

    base: Recommender
    recommender: Recommender
    text_neighbours: Callable[[], TextNeighbourIndex | ApproximateTextNeighbourIndex]
    sequence: int
    pending: Mapping[str, PendingItem]
    encoded_texts: Mapping[str, EncodedText]
    neighbours: TextNeighbours | None = None

    @classmethod
    def from_recommender(cls, base: Recommender) -> "LiveCatalogue":
        """Return the live catalogue of a packaged model without changes."""
        return cls(base, base, cache(lambda: _neighbourhood(base)), 0, {}, {})

    def with_changes(self, changes: Iterable[LiveItem], sequence: int) -> "LiveCatalogue":
        """Return the live catalogue after changes of items, in their order."""
        items = list({item.item_id: item for item in changes}.values())
        catalogue = self.recommender.catalogue
        inside = [item for item in items if item.item_id in catalogue]
        rows = catalogue.rows(item.item_id for item in inside)
        recommender = self.recommender
        if inside:
            recommender = recommender.with_catalogue(
                availability=recommender.availability.updated(rows, inside)
            )
        changed = _ids(items)
        pending = {key: item for key, item in self.pending.items() if key not in changed}
        present = [item for item in items if not item.deleted]
        served = self._served_texts(present)
        texts = self.base.query.item_texts(to_frame(present))
        for new in map(PendingItem, present, texts):
            if served.get(new.item.item_id) != new.encoded_text:
                pending[new.item.item_id] = new
        return replace(self, recommender=recommender, sequence=sequence, pending=pending)

    def encode_pending(self, stop: Callable[[], bool] = lambda: False) -> dict[str, EncodedItem]:
        """Encode pending texts until `stop` returns True, at least one. Changes nothing.

        Texts are encoded one at a time: with int8 weights, the other texts of a batch would change
        the rounding.
        """
        vectors: dict[str, NDArray[np.float32]] = {}
        for key, item in self.pending.items():
            vectors[key] = self.base.query.encoder.encode_passage(item.text)
            if stop():
                break
        if not vectors:
            return {}
        nearest = self.text_neighbours().nearest(np.stack(list(vectors.values())))
        return {
            key: EncodedItem(self.pending[key].encoded_text, vector, nearest.row(number))
            for number, (key, vector) in enumerate(vectors.items())
        }

    def with_encoded(self, encoded: Mapping[str, EncodedItem]) -> "LiveCatalogue":
        """Return a live catalogue with encoded items; items that changed meanwhile stay pending."""
        fresh = {key: each for key, each in encoded.items() if self._awaits(key, each.encoded_text)}
        if not fresh:
            return self
        items = [self.pending[key].item for key in fresh]
        catalogue = self.recommender.catalogue
        new = [item for item in items if item.item_id not in catalogue]
        if new:
            catalogue = catalogue.extended_with(to_frame(new))
        rows, frame = catalogue.rows(fresh), to_frame(items)
        nearest, reranker = self._nearest(rows, fresh.values()), self.recommender.reranker
        searched = self.recommender.query.items.updated_with(
            len(catalogue), self._changes(rows, fresh)
        )
        recommender = self.recommender.with_catalogue(
            catalogue=catalogue,
            blend=BlendWithNewItems(self.base.blend, nearest) if nearest else self.base.blend,
            query=self.base.query.with_items(searched),
            availability=self.recommender.availability.updated(rows, items),
            reranker=reranker
            and reranker.with_items(rows, frame[c.TITLE].to_list(), item_texts(frame)),
        )
        return replace(
            self,
            recommender=recommender,
            pending={key: item for key, item in self.pending.items() if key not in fresh},
            encoded_texts={
                **self.encoded_texts,
                **{key: each.encoded_text for key, each in fresh.items()},
            },
            neighbours=nearest,
        )

    def _awaits(self, key: str, words: EncodedText) -> bool:
        return key in self.pending and self.pending[key].encoded_text == words

    def _changes(self, rows: Rows, fresh: Mapping[str, EncodedItem]) -> ItemUpdates:
        """Return the changes of the search index."""
        return ItemUpdates(
            rows,
            np.stack([reading.vector for reading in fresh.values()]),
            [tokenise(reading.encoded_text[0] or "") for reading in fresh.values()],
            self.base.query.items.title_index.word_weight,
        )

    def _nearest(self, rows: Rows, fresh: Iterable[EncodedItem]) -> TextNeighbours | None:
        """Return the neighbours of all new items, including the ones that were just encoded."""
        numbers = rows - len(self.base.catalogue)
        added = [
            reading.neighbours
            for reading, number in zip(fresh, numbers, strict=True)
            if number >= 0
        ]
        if not added:
            return self.neighbours
        new = concatenate_neighbours(added)
        return self.neighbours.updated_with(numbers[numbers >= 0], new) if self.neighbours else new

    def _served_texts(self, items: Sequence[LiveItem]) -> dict[str, EncodedText]:
        """Return title and encoded text of those of the items that are served already, by id."""
        base = self.base
        packaged = base.catalogue.items[base.catalogue.rows(_ids(items))]
        described = zip(packaged[c.TITLE], base.query.item_texts(packaged), strict=True)
        served = dict(zip(packaged[c.ITEM], described, strict=True))
        read = {key: self.encoded_texts[key] for key in _ids(items) if key in self.encoded_texts}
        return served | read


def _neighbourhood(base: Recommender) -> TextNeighbourIndex | ApproximateTextNeighbourIndex:
    warm, searched = base.blend.cold_items.warm_weight > 0, base.query.items
    retrieval = base.retrieval
    if searched.vector_index is None or retrieval is None:
        return TextNeighbourIndex(searched.vectors, warm)
    return ApproximateTextNeighbourIndex(
        searched.vectors, warm, searched.vector_index, retrieval.sample.rows
    )


def _ids(items: Iterable[LiveItem]) -> dict[str, None]:
    """Return the ids of the items as an ordered set."""
    return dict.fromkeys(item.item_id for item in items)
