"""Indexes of the model of a large catalogue, which find candidates without scoring all items."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from recloop.registry.mmap_tensors import mmap_tensors
from recloop.scoring.candidates.approximation import ScoreApproximator
from recloop.scoring.candidates.vector_index import COSINE, DOT_PRODUCT, VectorIndex
from recloop.scoring.query.title_index import TitleIndex
from recloop.scoring.text_neighbours import ApproximateTextNeighbourIndex, TextNeighbours

_VECTORS, _FACTORS = "vectors.usearch", "factors.usearch"
_TEXT, _SEARCH, _LOOKUP = "text.usearch", "search.usearch", "lookup.safetensors"
_NEAREST, _WEIGHTS, _TITLES = "nearest.rows", "nearest.weights", "titles."
_SKETCH = "sketch"


@dataclass(frozen=True)
class Indexes:
    """Indexes of a model.

    Attributes:
        vectors: Index of the sequence model's item vectors.
        factors: Index of the low-rank model's item factors.
        text: Index of the text vectors.
        search: Index of the vectors that queries are compared with; `text` if both are the same.
        titles: Index of the words of the titles.
        nearest: Text neighbours of the cold items.
        sketch: Approximation of the scores of all items.
    """

    vectors: VectorIndex
    factors: VectorIndex
    text: VectorIndex
    search: VectorIndex
    titles: TitleIndex
    nearest: TextNeighbours
    sketch: ScoreApproximator

    def save(self, folder: Path) -> None:
        """Write the indexes into a new folder.

        Raises:
            FileExistsError: The folder exists.
        """
        folder.mkdir()
        self.vectors.save(folder / _VECTORS)
        self.factors.save(folder / _FACTORS)
        self.text.save(folder / _TEXT)
        if self.search is not self.text:
            self.search.save(folder / _SEARCH)
        lookup: dict[str, NDArray[Any]] = {
            _NEAREST: self.nearest.rows,
            _WEIGHTS: self.nearest.weights,
            _SKETCH: self.sketch.components,
        }
        words = self.titles.to_arrays()
        save_file(lookup | {f"{_TITLES}{name}": words[name] for name in words}, folder / _LOOKUP)

    @classmethod
    def view(cls, folder: Path) -> "Indexes":
        """Open the files that `save` wrote, memory-mapped.

        Raises:
            OSError: A file cannot be read.
            ValueError: A file is not valid.
        """
        lookup, text = mmap_tensors(folder / _LOOKUP), VectorIndex.view(folder / _TEXT)
        apart = folder.joinpath(_SEARCH).exists()
        return cls(
            VectorIndex.view(folder / _VECTORS),
            VectorIndex.view(folder / _FACTORS),
            text,
            VectorIndex.view(folder / _SEARCH) if apart else text,
            TitleIndex.from_arrays(
                {name.removeprefix(_TITLES): lookup[name] for name in lookup if _TITLES in name}
            ),
            TextNeighbours(lookup[_NEAREST], lookup[_WEIGHTS]),
            ScoreApproximator(lookup[_SKETCH]),
        )


def build(
    vectors: NDArray[np.float32],
    factors: NDArray[np.float32],
    text: NDArray[np.float16],
    search: NDArray[np.float16] | None,
    titles: TitleIndex,
    warm: NDArray[np.bool_],
    sample: NDArray[np.int64],
) -> Indexes:
    """Build the indexes of a model.

    All arrays have one row for each item of the catalogue. The vectors and factors of cold items
    are not trained and are left out.

    Args:
        vectors: Item vectors of the sequence model, shape `(items, dim)`.
        factors: Item factors of the low-rank model, shape `(items, factors)`.
        text: Text vectors, shape `(items, text_dim)`.
        search: Vectors that queries are compared with, shape `(items, search_dim)`. None: `text`.
        titles: Index of the titles.
        warm: Whether the training data have the item, shape `(items,)`.
        sample: Rows of the reference sample, shape `(sample,)`.
    """
    texts = VectorIndex.build(text, COSINE)
    neighbourhood = ApproximateTextNeighbourIndex(text, warm, texts, sample)
    return Indexes(
        VectorIndex.build(vectors, DOT_PRODUCT, warm),
        VectorIndex.build(factors, DOT_PRODUCT, warm),
        texts,
        texts if search is None else VectorIndex.build(search, COSINE),
        titles,
        neighbourhood.nearest(text[~warm].astype(np.float32)),
        ScoreApproximator.fit([vectors, factors, text], sample),
    )
