"""Lexical vectors of texts: which words and word pairs a text has, weighted by how rare they are.

They need no language model. They know model numbers, brands and names that a language model has
never seen, and do not know that different words can mean the same.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

# Number of hash values of a term; with a million different terms, one in nine shares its value.
_BUCKETS = 1 << 23
# Terms that are read of one text, so that its cost is bounded.
_MAX_TERMS = 2_000
# Runs of characters of scripts that are written without spaces, and words of all other scripts.
_WITHOUT_SPACES = (
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    "\U00020000-\U0003ffff"
)
_TOKEN = re.compile(f"[{_WITHOUT_SPACES}]+|[^\\W_{_WITHOUT_SPACES}]+")
_IS_WITHOUT_SPACES = re.compile(f"[{_WITHOUT_SPACES}]")


def terms(text: str) -> Iterator[str]:
    """Yield the words and the pairs of neighbouring words of a text, without case and accents.

    Scripts without spaces between words, such as Chinese, yield pairs of neighbouring characters.

    >>> list(terms("Café Noir, 1931"))
    ['cafe', 'noir', '1931', 'cafe noir', 'noir 1931']
    >>> list(terms("红色电影"))
    ['红色', '色电', '电影']
    """
    folded = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(sign for sign in folded if not unicodedata.combining(sign))
    words: list[str] = []
    for token in _TOKEN.findall(unicodedata.normalize("NFKC", plain)):
        if _IS_WITHOUT_SPACES.match(token):
            yield from map("".join, pairwise(token)) if len(token) > 1 else [token]
        else:
            words.append(token)
    yield from words
    yield from map(" ".join, pairwise(words))


def lexical_vectors(texts: Sequence[str | None]) -> sparse.csr_matrix:
    """Return unit TF-IDF vectors of texts, `(texts, hash values)`, float32.

    The weight of a term is `log(1 + occurrences) * (1 + log(texts / texts with the term))`. A text
    without words has an empty row.

    Args:
        texts: One text for each item; None counts as empty.

    Reference:
        Salton & Buckley 1988, "Term-weighting approaches in automatic text retrieval".
        Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning".
    """
    counts = _counts(texts)
    frequency = np.bincount(counts.indices, minlength=_BUCKETS)
    rarity = 1 + np.log(max(len(texts), 1) / np.maximum(frequency[counts.indices], 1))
    weights = np.log1p(counts.data) * rarity.astype(np.float32)
    weighted = sparse.csr_matrix((weights, counts.indices, counts.indptr), counts.shape)
    norms = np.sqrt(np.asarray(weighted.multiply(weighted).sum(1)).ravel())
    unit = sparse.csr_matrix(sparse.diags(1 / np.maximum(norms, 1e-9)) @ weighted)
    return unit.astype(np.float32)


def _counts(texts: Sequence[str | None]) -> sparse.csr_matrix:
    """Return how often each term occurs in each text, `(texts, hash values)`, float32."""
    columns: list[NDArray[np.int64]] = []
    values: list[NDArray[np.float32]] = []
    for text in texts:
        found = Counter(crc32(term.encode()) % _BUCKETS for term in _first_terms(text or ""))
        columns.append(np.fromiter(found.keys(), np.int64, len(found)))
        values.append(np.fromiter(found.values(), np.float32, len(found)))
    ends = np.cumsum([0, *map(len, columns)])
    data = np.concatenate([np.empty(0, np.float32), *values])
    indices = np.concatenate([np.empty(0, np.int64), *columns])
    return sparse.csr_matrix((data, indices, ends), shape=(len(texts), _BUCKETS))


def _first_terms(text: str) -> Iterator[str]:
    return (term for _, term in zip(range(_MAX_TERMS), terms(text), strict=False))
