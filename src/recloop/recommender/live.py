"""A packaged model with what the catalogue has become since. Knows no store, no thread and no clock.

Rules (availability, dates, categories, deletion) are taken at once. Texts are read by the packaged
encoder, which takes milliseconds each and is left to whoever calls `read`; a new item joins when it has
been read, and a known one whose text has changed keeps its old text until then.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from recloop import columns as c
from recloop.data.catalogue import texts
from recloop.data.live import LiveItem, frame
from recloop.models.grown import GrownBlend
from recloop.models.newcomers import IndexedNeighbourhood, Nearest, Neighbourhood
from recloop.models.searched import Changes, SearchedAnew
from recloop.recommender.recommender import Recommender


@dataclass(frozen=True)
class Told:
    """An item, and the text that the encoder reads of it."""

    item: LiveItem
    text: str

    @property
    def words(self) -> tuple[str | None, str]:
        """All that reading it depends on."""
        return self.item.title, self.text


@dataclass(frozen=True)
class Reading:
    """A text that was read: its vector `(width,)`, and the known items nearest to it, one row of them."""

    words: tuple[str | None, str]
    vector: NDArray[np.float32]
    nearest: Nearest


@dataclass(frozen=True)
class Overlay:
    """`recommender` answers; `pending` waits to be read. Immutable: every change makes another one.

    `sequence` is that of the last change taken. `base` is the model as packaged, `readings` are by item id,
    those of items that it does not have among them.
    """

    base: Recommender
    recommender: Recommender
    neighbourhood: Callable[[], Neighbourhood | IndexedNeighbourhood]
    sequence: int
    pending: Mapping[str, Told]
    readings: Mapping[str, Reading]

    @classmethod
    def over(cls, base: Recommender) -> "Overlay":
        """Nothing has changed: the recommender itself."""
        return cls(base, base, cache(lambda: _neighbourhood(base)), 0, {}, {})

    def with_items(self, changes: Iterable[LiveItem], sequence: int) -> "Overlay":
        """After changes of items, in their order."""
        items = list({item.item_id: item for item in changes}.values())
        catalogue = self.recommender.catalogue
        inside = [item for item in items if item.item_id in catalogue]
        rows = catalogue.rows(item.item_id for item in inside)
        recommender = self.recommender
        if inside:
            recommender = recommender.over(offer=recommender.offer.changed(rows, inside))
        changed = _ids(items)
        pending = {key: told for key, told in self.pending.items() if key not in changed}
        present = [item for item in items if not item.deleted]
        words = self._words(present)
        texts = self.base.query.describe(frame(present))
        for told in map(Told, present, texts):
            if words.get(told.item.item_id) != told.words:
                pending[told.item.item_id] = told
        return replace(self, recommender=recommender, sequence=sequence, pending=pending)

    def read(self) -> Iterator[tuple[str, Reading]]:
        """Read what is pending, one by one as they are asked for. Slow, and changes nothing."""
        for key, told in self.pending.items():
            vector = self.base.query.encoder.passage(told.text)
            nearest = self.neighbourhood().nearest(vector[None])
            yield key, Reading(told.words, vector, nearest)

    def with_readings(self, readings: Mapping[str, Reading]) -> "Overlay":
        """Once these have been read; what has changed in between waits to be read again."""
        fresh = {
            key: reading
            for key, reading in readings.items()
            if key in self.pending and self.pending[key].words == reading.words
        }
        if not fresh:
            return self
        items = [self.pending[key].item for key in fresh]
        catalogue = self.recommender.catalogue
        new = [item for item in items if item.item_id not in catalogue]
        if new:
            catalogue = catalogue.grown(frame(new))
        read = {**self.readings, **fresh}
        rows = catalogue.rows(read)
        changes = Changes(
            len(catalogue),
            rows,
            np.stack([reading.vector for reading in read.values()]),
            [reading.words[0] for reading in read.values()],
        )
        added = [read[key].nearest for key in catalogue.ids[len(self.base.catalogue) :]]
        told, reranker = frame(items), self.recommender.reranker
        rows_told = catalogue.rows(_ids(items))
        recommender = self.recommender.over(
            catalogue=catalogue,
            blend=GrownBlend(self.base.blend, _joined(added)) if added else self.base.blend,
            query=self.base.query.over(SearchedAnew(self.base.query.searched, changes)),
            offer=self.recommender.offer.changed(rows_told, items),
            reranker=reranker and reranker.over(rows_told, told[c.TITLE].to_list(), texts(told)),
        )
        pending = {key: told for key, told in self.pending.items() if key not in fresh}
        return replace(self, recommender=recommender, pending=pending, readings=read)

    def _words(self, items: Sequence[LiveItem]) -> dict[str, tuple[str | None, str]]:
        """What is served of those items that are there: their titles, and their texts as they were read."""
        base = self.base
        packaged = base.catalogue.items[base.catalogue.rows(_ids(items))]
        described = zip(packaged[c.TITLE], base.query.describe(packaged), strict=True)
        words = dict(zip(packaged[c.ITEM], described, strict=True))
        read = {key: self.readings[key].words for key in _ids(items) if key in self.readings}
        return words | read


def _neighbourhood(base: Recommender) -> Neighbourhood | IndexedNeighbourhood:
    known, searched = base.blend.newcomers.known > 0, base.query.searched
    retrieval = base.retrieval
    if searched.index is None or retrieval is None:
        return Neighbourhood(searched.vectors, known)
    return IndexedNeighbourhood(searched.vectors, known, searched.index, retrieval.sample.rows)


def _ids(items: Iterable[LiveItem]) -> dict[str, None]:
    """As a set in their order."""
    return dict.fromkeys(item.item_id for item in items)


def _joined(nearest: Sequence[Nearest]) -> Nearest:
    return Nearest(
        np.concatenate([each.rows for each in nearest]),
        np.concatenate([each.weights for each in nearest]),
    )
