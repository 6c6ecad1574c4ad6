"""A packaged model with what the catalogue has become since. Knows no store, no thread and no clock.

Rules (availability, dates, categories, deletion) are taken at once. Texts are read by the packaged
encoder, which takes milliseconds each and is left to whoever calls `read`; a new item joins when it has
been read, and a known one whose text has changed keeps its old text until then.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from recloop import columns as c
from recloop.data.catalogue import Rows, texts
from recloop.data.live import LiveItem, frame
from recloop.models.grown import GrownBlend
from recloop.models.neighbourhood import IndexedNeighbourhood, Nearest, Neighbourhood, joined
from recloop.models.searched import Changes
from recloop.models.titles import words
from recloop.recommender.recommender import Recommender

# A title, and the text that the encoder reads: all that reading an item depends on.
Words = tuple[str | None, str]


@dataclass(frozen=True)
class Told:
    """An item, and the text that the encoder reads of it."""

    item: LiveItem
    text: str

    @property
    def words(self) -> Words:
        """All that reading it depends on."""
        return self.item.title, self.text


@dataclass(frozen=True)
class Reading:
    """A text that was read: its vector `(width,)`, and the known items nearest to it, one row of them."""

    words: Words
    vector: NDArray[np.float32]
    nearest: Nearest


@dataclass(frozen=True)
class Overlay:
    """`recommender` answers; `pending` waits to be read. Immutable: every change makes another one.

    `sequence` is that of the last change taken. `base` is the model as packaged, `read_words` is what was
    read, by item id; `nearest` are those of the items that the package does not have.
    """

    base: Recommender
    recommender: Recommender
    neighbourhood: Callable[[], Neighbourhood | IndexedNeighbourhood]
    sequence: int
    pending: Mapping[str, Told]
    read_words: Mapping[str, Words]
    nearest: Nearest | None = None

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
        known = self._words(present)
        texts = self.base.query.describe(frame(present))
        for told in map(Told, present, texts):
            if known.get(told.item.item_id) != told.words:
                pending[told.item.item_id] = told
        return replace(self, recommender=recommender, sequence=sequence, pending=pending)

    def read(self, enough: Callable[[], bool] = lambda: False) -> dict[str, Reading]:
        """Read what is pending until it is `enough`, one at least. Slow, and changes nothing.

        One text after the other: in int8, what else is in a batch changes how a text is rounded.
        """
        vectors: dict[str, NDArray[np.float32]] = {}
        for key, told in self.pending.items():
            vectors[key] = self.base.query.encoder.passage(told.text)
            if enough():
                break
        if not vectors:
            return {}
        nearest = self.neighbourhood().nearest(np.stack(list(vectors.values())))
        return {
            key: Reading(self.pending[key].words, vector, nearest.of(number))
            for number, (key, vector) in enumerate(vectors.items())
        }

    def with_readings(self, readings: Mapping[str, Reading]) -> "Overlay":
        """Once these have been read; what has changed in between waits to be read again."""
        fresh = {key: each for key, each in readings.items() if self._awaits(key, each.words)}
        if not fresh:
            return self
        items = [self.pending[key].item for key in fresh]
        catalogue = self.recommender.catalogue
        new = [item for item in items if item.item_id not in catalogue]
        if new:
            catalogue = catalogue.grown(frame(new))
        rows, told = catalogue.rows(fresh), frame(items)
        nearest, reranker = self._nearest(rows, fresh.values()), self.recommender.reranker
        searched = self.recommender.query.searched.anew(len(catalogue), self._changes(rows, fresh))
        recommender = self.recommender.over(
            catalogue=catalogue,
            blend=GrownBlend(self.base.blend, nearest) if nearest else self.base.blend,
            query=self.base.query.over(searched),
            offer=self.recommender.offer.changed(rows, items),
            reranker=reranker and reranker.over(rows, told[c.TITLE].to_list(), texts(told)),
        )
        return replace(
            self,
            recommender=recommender,
            pending={key: told for key, told in self.pending.items() if key not in fresh},
            read_words={**self.read_words, **{key: each.words for key, each in fresh.items()}},
            nearest=nearest,
        )

    def _awaits(self, key: str, words: Words) -> bool:
        return key in self.pending and self.pending[key].words == words

    def _changes(self, rows: Rows, fresh: Mapping[str, Reading]) -> Changes:
        """What queries meet in these rows from now on."""
        return Changes(
            rows,
            np.stack([reading.vector for reading in fresh.values()]),
            [words(reading.words[0] or "") for reading in fresh.values()],
            self.base.query.searched.titles.weigh,
        )

    def _nearest(self, rows: Rows, fresh: Iterable[Reading]) -> Nearest | None:
        """Of all items that the package does not have, with what was read in these rows."""
        numbers = rows - len(self.base.catalogue)
        added = [
            reading.nearest for reading, number in zip(fresh, numbers, strict=True) if number >= 0
        ]
        if not added:
            return self.nearest
        told = joined(added)
        return self.nearest.told(numbers[numbers >= 0], told) if self.nearest else told

    def _words(self, items: Sequence[LiveItem]) -> dict[str, Words]:
        """What is served of those items that are there: their titles, and their texts as they were read."""
        base = self.base
        packaged = base.catalogue.items[base.catalogue.rows(_ids(items))]
        described = zip(packaged[c.TITLE], base.query.describe(packaged), strict=True)
        served = dict(zip(packaged[c.ITEM], described, strict=True))
        read = {key: self.read_words[key] for key in _ids(items) if key in self.read_words}
        return served | read


def _neighbourhood(base: Recommender) -> Neighbourhood | IndexedNeighbourhood:
    known, searched = base.blend.newcomers.known > 0, base.query.searched
    retrieval = base.retrieval
    if searched.index is None or retrieval is None:
        return Neighbourhood(searched.vectors, known)
    return IndexedNeighbourhood(searched.vectors, known, searched.index, retrieval.sample.rows)


def _ids(items: Iterable[LiveItem]) -> dict[str, None]:
    """As a set in their order."""
    return dict.fromkeys(item.item_id for item in items)
