"""Text vectors without a language model: latent semantic analysis of hashed words."""

import re
from collections import Counter
from collections.abc import Sequence
from zlib import crc32

import numpy as np
from scipy import sparse

from recloop.ctr.log import Floats
from recloop.ctr.models.factors import unit

_BUCKETS = 1 << 14
_WORD = re.compile(r"\w+")


def word_vectors(texts: Sequence[str], width: int) -> Floats | None:
    """Return unit text vectors, `(texts, width)`, float32; None if fewer than two texts have words.

    Words are hashed and weighted by inverse document frequency.

    Reference:
        Deerwester et al. 1990, "Indexing by Latent Semantic Analysis".
    """
    bags = [
        Counter(crc32(w.encode()) % _BUCKETS for w in _WORD.findall(text.lower())) for text in texts
    ]
    if sum(map(bool, bags)) <= 1:
        return None
    ends = np.cumsum([0, *map(len, bags)])
    buckets = np.fromiter((b for bag in bags for b in bag), np.int64, ends[-1])
    counts = np.fromiter((n for bag in bags for n in bag.values()), np.float32, ends[-1])
    rarity = np.log(len(texts) / np.maximum(np.bincount(buckets, minlength=_BUCKETS), 1)) + 1.0
    data = (np.log1p(counts) * rarity[buckets]).astype(np.float32)
    matrix = sparse.csr_matrix((data, buckets, ends), shape=(len(texts), _BUCKETS))
    basis = np.random.default_rng(0).normal(size=(_BUCKETS, width)).astype(np.float32)
    for _ in range(3):
        basis, _ = np.linalg.qr(matrix.T @ (matrix @ basis))
    return unit(np.asarray(matrix @ basis))
