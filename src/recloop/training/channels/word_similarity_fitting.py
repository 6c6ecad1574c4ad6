"""Fitting of the words channel: the items whose texts share the rarest words with each item."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recloop.scoring.channels.item_item import Sparse, no_links

# Similarities that are in memory at once: 64 MB.
_CELLS = 1 << 24


def word_neighbours(vectors: sparse.csr_matrix, neighbours: int, max_items: int) -> Sparse:
    """Return the cosine of each item to the items with the most similar words.

    Args:
        vectors: Unit lexical vectors, `(items, terms)`.
        neighbours: Number of most similar items that each item keeps.
        max_items: Largest number of items with a text for which neighbours are computed, the first
            of the catalogue; the others get none.

    Returns:
        Similarities `(items, items)`; an item is no neighbour of itself.
    """
    items = vectors.shape[0]
    rows = np.flatnonzero(np.diff(vectors.indptr))[:max_items]
    if not len(rows):
        return no_links(items)
    written = vectors[rows]
    columns, width = written.T.tocsr(), max(1, _CELLS // len(rows))
    parts = []
    for start in range(0, len(rows), width):
        similarity = (written[start : start + width] @ columns).toarray()
        similarity[np.arange(len(similarity)), np.arange(start, start + len(similarity))] = 0.0
        parts.append(_strongest(similarity, min(neighbours, len(rows))))
    nearest = sparse.vstack(parts, "coo")
    return sparse.csr_matrix(
        (nearest.data, (rows[nearest.row], rows[nearest.col])), shape=(items, items)
    )


def _strongest(similarity: NDArray[np.float32], kept: int) -> Sparse:
    """Return the `kept` largest entries of each row that are above 0."""
    nearest = np.argpartition(-similarity, kept - 1, axis=1)[:, :kept]
    values = np.take_along_axis(similarity, nearest, 1)
    rows = np.repeat(np.arange(len(similarity)), kept)
    found = sparse.csr_matrix(
        (values.ravel(), (rows, nearest.ravel())), shape=similarity.shape, dtype=np.float32
    )
    found.eliminate_zeros()
    return found
