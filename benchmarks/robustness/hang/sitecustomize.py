"""What a service starts with that has this folder on its path: its ranker hangs while a file is there.

`HANG_FILE` names the file.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from recloop.recommender.reranking import Logits
from recloop.scoring.ranker.onnx_ranker import OnnxRanker

_FILE = Path(os.environ["HANG_FILE"])
_LOOK_SECONDS = 0.05
_logits = OnnxRanker.logits


def _hanging(
    ranker: OnnxRanker, behaviour: Sequence[str], query: str | None, candidates: Sequence[str]
) -> Logits:
    while _FILE.exists():
        time.sleep(_LOOK_SECONDS)
    return _logits(ranker, behaviour, query, candidates)


OnnxRanker.logits = _hanging  # type: ignore[method-assign]
