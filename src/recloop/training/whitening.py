"""Whitening of text vectors, so that no few directions decide how similar two texts are.

The vectors of a language model share large components: all texts of a catalogue are similar, and
what tells them apart is small. Whitening subtracts the mean, and scales the directions in which the
texts of the catalogue vary a lot down to those in which they vary little.
"""

import numpy as np
from numpy.typing import NDArray

# Power of the variances by which directions are divided. One half gives all of them the same
# variance; on films with short texts that amplified noise, and a quarter was better (docs/log.md).
_POWER = 0.25
# Share of the mean variance that is added to every variance.
_RIDGE = 0.3
# A mean variance below this is rounding: all texts are the same.
_SAME = 1e-6


def whitened(text: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return whitened unit vectors of texts, `(items, width)`.

    Args:
        text: Unit text vectors, `(items, width)`; zeros for an item without text stay zeros.

    References:
        Su et al. 2021, "Whitening Sentence Representations for Better Semantics and Faster
        Retrieval".
        Zhang et al. 2024, "Are ID Embeddings Necessary? Whitening Pre-trained Text Embeddings for
        Effective Sequential Recommendation".
    """
    written = np.linalg.norm(text, axis=1, keepdims=True) > 0
    count = max(int(written.sum()), 1)
    mean = text.sum(0, dtype=np.float64) / count
    variances, directions = np.linalg.eigh((text.T @ text) / count - np.outer(mean, mean))
    variances = np.maximum(variances, 0)
    if variances.mean() < _SAME:
        return text
    scales = (variances + _RIDGE * variances.mean()) ** -_POWER
    matrix = (directions * scales).astype(np.float32)
    scaled: NDArray[np.float32] = text @ matrix - (mean @ matrix).astype(np.float32)
    scaled *= written
    scaled /= np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), np.float32(1e-9))
    return scaled
