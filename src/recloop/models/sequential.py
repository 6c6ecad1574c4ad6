"""The sequential channel as it serves: the user tower in ONNX Runtime, item vectors in NumPy."""

from collections.abc import Sequence

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from recloop.data.trail import WIDTH, Signals, no_signals
from recloop.models.scorer import Asked, History, Scores

_BATCH = 256


class Sequential:
    """`score = user tower(vectors and signals of the recent history) · item vectors`."""

    def __init__(self, tower: bytes, vectors: NDArray[np.float32], window: int) -> None:
        self._session = open_session(tower)
        self._vectors = vectors
        self._window = window

    def score(self, asked: Asked) -> Scores:
        """`(requests, items)`; an empty history scores every item alike."""
        histories = asked.histories
        signals = asked.signals or [no_signals(len(history)) for history in histories]
        parts = [
            self._users(histories[start : start + _BATCH], signals[start : start + _BATCH])
            @ self._vectors.T
            for start in range(0, len(histories), _BATCH)
        ]
        return np.concatenate(parts)

    def _users(
        self, histories: Sequence[History], signals: Sequence[Signals]
    ) -> NDArray[np.float32]:
        lengths = np.array([min(len(history), self._window) for history in histories])
        shape = (len(histories), max(1, int(lengths.max())))
        batch = np.zeros((*shape, self._vectors.shape[1]), np.float32)
        told = np.zeros((*shape, WIDTH), np.int64)
        for row, length in enumerate(lengths):
            if length:
                batch[row, :length] = self._vectors[histories[row][-length:]]
                told[row, :length] = signals[row][-length:]
        (states,) = self._session.run(None, {"history": batch, "signals": told})
        users: NDArray[np.float32] = states[np.arange(len(histories)), np.maximum(lengths - 1, 0)]
        users[lengths == 0] = 0.0
        return users


def open_session(model: bytes) -> ort.InferenceSession:
    """A session for small models and many callers: one thread, no spinning."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
