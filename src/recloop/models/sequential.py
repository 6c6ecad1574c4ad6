"""The sequential channel as it serves: the user tower in ONNX Runtime, item vectors in NumPy."""

from collections.abc import Sequence

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from recloop.data.trail import Signals, padded
from recloop.models.scorer import Asked, History, Scores, products, signals_of

_BATCH = 256


class Sequential:
    """`score = user tower(vectors and signals of the recent history) · item vectors`."""

    def __init__(self, tower: bytes, vectors: NDArray[np.float32], window: int) -> None:
        self._session = open_session(tower)
        self._vectors = vectors
        self._window = window

    def score(self, asked: Asked) -> Scores:
        """`(requests, items)`; an empty history scores every item alike."""
        told = signals_of(asked)
        parts = [
            products(
                self.users(asked.histories[start : start + _BATCH], told[start : start + _BATCH]),
                self._vectors,
                asked.scope,
            )
            for start in range(0, len(asked.histories), _BATCH)
        ]
        return np.concatenate(parts)

    def users(self, histories: Sequence[History], told: Sequence[Signals]) -> NDArray[np.float32]:
        """`(requests, dim)`: what each looks for, zeros for an empty history."""
        users = np.zeros((len(histories), self._vectors.shape[1]), np.float32)
        lengths = [min(len(history), self._window) for history in histories]
        # The tower tells the last position alone, so those of one length go together.
        for length in set(lengths) - {0}:
            rows = [row for row, own in enumerate(lengths) if own == length]
            items, signals = padded(
                [histories[row] for row in rows], [told[row] for row in rows], length
            )
            inputs = {"history": self._vectors[items], "signals": signals}
            (states,) = self._session.run(None, inputs)
            users[rows] = states[:, -1]
        return users


def open_session(model: bytes) -> ort.InferenceSession:
    """A session for small models and many callers: one thread, no spinning.

    A sum and its layer norm stay two steps: ONNX Runtime's one step for both takes several times as long
    on a CPU (1.32: a quarter of a ranker's time).
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(
        model,
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=["SkipLayerNormFusion"],
    )
