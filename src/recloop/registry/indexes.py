"""What a model of a large catalogue has beside its tensors, to find candidates without scoring all."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from recloop.models.neighbourhood import IndexedNeighbourhood, Nearest
from recloop.models.sketch import Sketch
from recloop.models.titles import TitleIndex
from recloop.models.vector_index import COSINE, PRODUCT, VectorIndex
from recloop.registry.mapped import mapped

_VECTORS, _FACTORS = "vectors.usearch", "factors.usearch"
_TEXT, _SEARCH, _LOOKUP = "text.usearch", "search.usearch", "lookup.safetensors"
_NEAREST, _WEIGHTS, _TITLES = "nearest.rows", "nearest.weights", "titles."
_SKETCH = "sketch"


@dataclass(frozen=True)
class Indexes:
    """Of the item vectors of each channel, and of titles; `nearest` are to the items that are not known.

    `search` is that of `text` where the queries' encoder has the texts' space.
    """

    vectors: VectorIndex
    factors: VectorIndex
    text: VectorIndex
    search: VectorIndex
    titles: TitleIndex
    nearest: Nearest
    sketch: Sketch

    def save(self, folder: Path) -> None:
        """Write the files into a folder of their own, which must not be there."""
        folder.mkdir()
        self.vectors.save(folder / _VECTORS)
        self.factors.save(folder / _FACTORS)
        self.text.save(folder / _TEXT)
        if self.search is not self.text:
            self.search.save(folder / _SEARCH)
        lookup: dict[str, NDArray[Any]] = {
            _NEAREST: self.nearest.rows,
            _WEIGHTS: self.nearest.weights,
            _SKETCH: self.sketch.numbers,
        }
        words = self.titles.packed()
        save_file(lookup | {f"{_TITLES}{name}": words[name] for name in words}, folder / _LOOKUP)

    @classmethod
    def view(cls, folder: Path) -> "Indexes":
        """What `save` wrote, left on disk. Raises OSError, ValueError where a file is missing or unfit."""
        lookup, text = mapped(folder / _LOOKUP), VectorIndex.view(folder / _TEXT)
        apart = folder.joinpath(_SEARCH).exists()
        return cls(
            VectorIndex.view(folder / _VECTORS),
            VectorIndex.view(folder / _FACTORS),
            text,
            VectorIndex.view(folder / _SEARCH) if apart else text,
            TitleIndex.unpacked(
                {name.removeprefix(_TITLES): lookup[name] for name in lookup if _TITLES in name}
            ),
            Nearest(lookup[_NEAREST], lookup[_WEIGHTS]),
            Sketch(lookup[_SKETCH]),
        )


def build(
    vectors: NDArray[np.float32],
    factors: NDArray[np.float32],
    text: NDArray[np.float16],
    search: NDArray[np.float16] | None,
    titles: TitleIndex,
    known: NDArray[np.bool_],
    sample: NDArray[np.int64],
) -> Indexes:
    """All arrays are in the order of the catalogue; `known` `(items,)` and `sample` as in `Sample`.

    Item vectors of what training has not met say nothing and are left out.
    """
    texts = VectorIndex.build(text, COSINE)
    neighbourhood = IndexedNeighbourhood(text, known, texts, sample)
    return Indexes(
        VectorIndex.build(vectors, PRODUCT, known),
        VectorIndex.build(factors, PRODUCT, known),
        texts,
        texts if search is None else VectorIndex.build(search, COSINE),
        titles,
        neighbourhood.nearest(text[~known].astype(np.float32)),
        Sketch.draw([vectors, factors, text], sample),
    )
