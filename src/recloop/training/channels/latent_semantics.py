"""Text vectors without a language model: latent semantic analysis of the words of the texts."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.decomposition import TruncatedSVD

_WIDTH = 256


def latent_semantic_vectors(
    vectors: sparse.csr_matrix, seed: int, width: int = _WIDTH
) -> NDArray[np.float32]:
    """Return unit vectors whose cosines approximate those of lexical vectors, `(items, width)`.

    They are the coordinates along the directions in which the lexical vectors vary the most, so
    that words which occur together are alike. A text without words has a zero vector.

    Args:
        vectors: Unit lexical vectors, `(items, terms)`.
        seed: Seed of the random projection that finds the directions.
        width: Largest number of directions.

    Reference:
        Deerwester et al. 1990, "Indexing by latent semantic analysis".
    """
    used = vectors[:, np.unique(vectors.indices)]
    width = min(width, *(size - 1 for size in used.shape))
    if width < 1:
        return np.zeros((vectors.shape[0], 1), np.float32)
    reduced = TruncatedSVD(width, random_state=seed).fit_transform(used)
    norms = np.linalg.norm(reduced, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (reduced / np.maximum(norms, 1e-9)).astype(np.float32)
    return unit
