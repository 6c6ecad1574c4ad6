"""SASRec channel: a causal transformer over the history, in ONNX Runtime."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recloop.data.user_sequences import Signals, pad_sequences
from recloop.scoring.onnx_session import open_session
from recloop.scoring.scorer import (
    History,
    Scores,
    ScoringRequests,
    dot_products,
    signals_or_unknown,
)

_BATCH = 256


class SASRec:
    """Scores items by the dot product of a user vector and the item vectors.

    Args:
        tower: ONNX model from the vectors and signals of the recent history to user vectors.
        vectors: Item vectors, `(items, dim)`.
        window: Number of steps of the history that the tower reads.

    Reference:
        Kang & McAuley 2018, "Self-Attentive Sequential Recommendation".
    """

    def __init__(self, tower: bytes, vectors: NDArray[np.float32], window: int) -> None:
        self._session = open_session(tower)
        self._vectors = vectors
        self._window = window

    def score(self, requests: ScoringRequests) -> Scores:
        """Return scores `(requests, candidates)`; an empty history scores all items 0."""
        histories, signals = requests.histories, signals_or_unknown(requests)
        parts = []
        for start in range(0, len(histories), _BATCH):
            batch = slice(start, start + _BATCH)
            users = self.user_vectors(histories[batch], signals[batch])
            parts.append(dot_products(users, self._vectors, requests.candidates))
        return np.concatenate(parts)

    def user_vectors(
        self, histories: Sequence[History], signals: Sequence[Signals]
    ) -> NDArray[np.float32]:
        """Return user vectors `(requests, dim)`, zeros for an empty history.

        Steps whose item has a zero vector, which the model does not know, are left out.

        Args:
            histories: Item rows of each history, oldest first.
            signals: Signals of each step (see `recloop.data.user_sequences`).
        """
        users = np.zeros((len(histories), self._vectors.shape[1]), np.float32)
        if not all(self._vectors[h[-self._window :]].any(1).all() for h in histories):
            covered = [self._vectors[history].any(1) for history in histories]
            histories = [history[kept] for history, kept in zip(histories, covered, strict=True)]
            signals = [each[kept] for each, kept in zip(signals, covered, strict=True)]
        lengths = [min(len(history), self._window) for history in histories]
        # The tower returns the vector at the last position only, so histories of equal length are
        # run together, without padding.
        for length in set(lengths) - {0}:
            rows = [row for row, own in enumerate(lengths) if own == length]
            items, steps = pad_sequences(
                [histories[row] for row in rows], [signals[row] for row in rows], length
            )
            inputs = {"history": self._vectors[items], "signals": steps}
            (states,) = self._session.run(None, inputs)
            users[rows] = states[:, -1]
        return users
