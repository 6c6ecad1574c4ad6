"""Validation metric during training: NDCG@10 over the whole catalogue."""

import numpy as np
import torch
from torch import Tensor

from recloop.data.user_sequences import pad_sequences
from recloop.evaluation.evaluation_requests import Requests
from recloop.scoring.scorer import signals_or_unknown
from recloop.training.finetuning.fit import ValidationMetric
from recloop.training.finetuning.sequence_model import SequenceModel

_BATCH = 512


def validation_metric(requests: Requests, window: int) -> ValidationMetric:
    """Return a function that measures NDCG@10 of a model on these requests.

    The function takes a model and text vectors `(items, width)`.

    Args:
        requests: Validation requests.
        window: Length to which histories are cut or padded.
    """
    lengths = torch.tensor([min(len(history), window) for history in requests.histories])
    recent, signals = map(
        torch.from_numpy, pad_sequences(requests.histories, signals_or_unknown(requests), window)
    )

    def measure(model: SequenceModel, text: Tensor) -> float:
        vectors = model.vectors(text)
        model.tower.eval()
        parts = []
        with torch.inference_mode():
            for rows, steps, size in zip(
                *(torch.split(each, _BATCH) for each in (recent, signals, lengths)), strict=True
            ):
                device = vectors.device
                states = model.tower(vectors[rows.to(device)], steps.to(device))
                last = states[torch.arange(len(size)), (size - 1).clamp(min=0)]
                parts.append((last @ vectors.T).float().cpu().numpy())
        return requests.ndcg_at_10(np.concatenate(parts))

    return measure
