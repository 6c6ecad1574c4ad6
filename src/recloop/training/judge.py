"""Judging a model while it trains: NDCG@10 over the whole catalogue."""

import numpy as np
import torch
from torch import Tensor

from recloop.data.trail import padded
from recloop.evaluation.offline import Requests
from recloop.models.scorer import signals_of
from recloop.training.finetune import Judge
from recloop.training.sequence import SequenceModel

_BATCH = 512


def judge_on(requests: Requests, window: int) -> Judge:
    """A judge that ranks these requests; a history shorter than `window` is padded at its end."""
    lengths = torch.tensor([min(len(history), window) for history in requests.histories])
    recent, signals = map(
        torch.from_numpy, padded(requests.histories, signals_of(requests), window)
    )

    def judge(model: SequenceModel, text: Tensor) -> float:
        vectors = model.vectors(text)
        model.tower.eval()
        parts = []
        with torch.inference_mode():
            for rows, known, size in zip(
                *(torch.split(each, _BATCH) for each in (recent, signals, lengths)), strict=True
            ):
                device = vectors.device
                states = model.tower(vectors[rows.to(device)], known.to(device))
                last = states[torch.arange(len(size)), (size - 1).clamp(min=0)]
                parts.append((last @ vectors.T).float().cpu().numpy())
        return requests.ndcg_at_10(np.concatenate(parts))

    return judge
