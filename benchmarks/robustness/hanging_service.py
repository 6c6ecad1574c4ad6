"""The service with a ranker that hangs while the file named by `HANG_FILE` exists."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recloop.scoring.ranker.onnx_ranker import OnnxRanker
from recloop.serving.service import RecloopService

__all__ = ["RecloopService"]

_FILE = Path(os.environ["HANG_FILE"])
_POLL_SECONDS = 0.05
_compute_logits = OnnxRanker.logits


def _hang_then_compute(
    self: OnnxRanker, behaviour: Sequence[str], query: str | None, candidates: Sequence[str]
) -> NDArray[np.float32]:
    while _FILE.exists():
        time.sleep(_POLL_SECONDS)
    return _compute_logits(self, behaviour, query, candidates)


OnnxRanker.logits = _hang_then_compute  # type: ignore[method-assign]
