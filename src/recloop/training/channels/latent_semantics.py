"""Text vectors without a language model: latent semantic analysis of the words of the texts."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.preprocessing import normalize

from recloop.training.channels.word_similarity_fitting import used_terms

# Largest number of directions.
_WIDTH = 256


def latent_semantic_vectors(vectors: sparse.csr_matrix, seed: int) -> NDArray[np.float32]:
    """Return unit vectors whose cosines approximate those of lexical vectors, `(items, width)`.

    They are the coordinates along the directions in which the lexical vectors vary the most, so
    that words which occur together are alike. A text without words has a zero vector.

    Args:
        vectors: Unit lexical vectors, `(items, terms)`.
        seed: Seed of the random projection that finds the directions.

    Reference:
        Deerwester et al. 1990, "Indexing by latent semantic analysis".
    """
    used = used_terms(vectors)
    width = min(_WIDTH, *(size - 1 for size in used.shape))
    if width < 1:
        return np.zeros((vectors.shape[0], 1), np.float32)
    unit = normalize(TruncatedSVD(width, random_state=seed).fit_transform(used))
    return np.asarray(unit, np.float32)
