"""Fitting of the words channel: the items whose texts share the rarest words with each item."""

import numpy as np
from scipy import sparse

from recloop.scoring.channels.item_item import Sparse, no_links
from recloop.training.channels.item_item_fitting import strongest_links


def word_neighbours(vectors: sparse.csr_matrix, neighbours: int, max_items: int) -> Sparse:
    """Return the cosine of each item to the items with the most similar words.

    Args:
        vectors: Unit lexical vectors, `(items, terms)`.
        neighbours: Number of most similar items that each item keeps; more if several equal the
            least similar of them.
        max_items: Largest number of items with a text for which neighbours are computed, the first
            of the catalogue; the others get none.

    Returns:
        Similarities `(items, items)`; an item is no neighbour of itself.
    """
    items = vectors.shape[0]
    rows = np.flatnonzero(np.diff(vectors.indptr))[:max_items]
    if not len(rows):
        return no_links(items)
    by_term = used_terms(vectors[rows]).T.tocsc()
    nearest = strongest_links(by_term, by_term, neighbours).tocoo()
    # A column holds the nearest items of an item, a row those that a history of it suggests.
    placed = (nearest.data, (rows[nearest.col], rows[nearest.row]))
    return sparse.csr_matrix(placed, shape=(items, items))


def used_terms(vectors: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return the vectors with only the columns that have an entry, `(items, used terms)`."""
    used, columns = np.unique(vectors.indices, return_inverse=True)
    shape = (vectors.shape[0], len(used))
    return sparse.csr_matrix((vectors.data, columns, vectors.indptr), shape=shape)
