"""Judging a model while it trains: NDCG@10 over the whole catalogue."""

import numpy as np
import torch
from torch import Tensor

from recloop.evaluation.offline import Requests
from recloop.training.finetune import Judge
from recloop.training.sequence import SequenceModel

_BATCH = 512


def judge_on(requests: Requests, window: int) -> Judge:
    """A judge that ranks these requests; a history shorter than `window` is padded at its end."""
    lengths = torch.tensor([min(len(history), window) for history in requests.histories])
    recent = torch.zeros(len(lengths), window, dtype=torch.long)
    for row, history in enumerate(requests.histories):
        recent[row, : lengths[row]] = torch.from_numpy(history[-window:])

    def judge(model: SequenceModel, text: Tensor) -> float:
        vectors = model.vectors(text)
        model.tower.eval()
        parts = []
        with torch.inference_mode():
            for rows, size in zip(
                torch.split(recent, _BATCH), torch.split(lengths, _BATCH), strict=True
            ):
                states = model.tower(vectors[rows.to(vectors.device)])
                last = states[torch.arange(len(size)), (size - 1).clamp(min=0)]
                parts.append((last @ vectors.T).float().cpu().numpy())
        return requests.ndcg_at_10(np.concatenate(parts))

    return judge
