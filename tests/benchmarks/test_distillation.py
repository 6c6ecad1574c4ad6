"""Distillation of the ranker into the sequence model."""

import numpy as np
import pytest
import torch

from benchmarks.distillation import DistilConfig, distil
from recloop.data.user_sequences import pad_sequences, sequences_from_rows, unknown_signals
from recloop.evaluation.evaluation_requests import Requests
from recloop.training.device import Compute
from recloop.training.finetuning.fit import fit
from recloop.training.finetuning.sequence_model import FrozenTextVectors, TrainConfig
from recloop.training.modules.tower import TowerConfig

CPU = Compute(torch.device("cpu"), bf16=False)


def test_distillation_moves_the_student_to_the_teacher() -> None:
    ring = [(np.arange(9) + start) % 12 for start in range(20)]
    tower = TowerConfig(dim=16, layers=1, window=8, dropout=0.1, id_dropout=0.1)
    text = torch.eye(12)
    model, _ = fit(
        sequences_from_rows(ring), FrozenTextVectors(text), TrainConfig(tower=tower, epochs=4), CPU
    )
    requests = Requests([path[:8] for path in ring], [path[8:] for path in ring])
    candidates = np.stack([np.append((path[8] + np.arange(3)) % 12, -1) for path in ring])
    scores = np.tile(np.array([0, 0, 1, 5], np.float32), (20, 1))  # two places further on
    settings = DistilConfig(epochs=15, batch=4, learning_rate=1e-2, teacher_weight=1.0)
    losses = distil(model, text, requests, candidates, scores, settings, CPU)
    assert losses[-1]["kl"] < losses[0]["kl"] / 2
    with torch.inference_mode():
        vectors = model.vectors(text)
        items, signals = map(
            torch.from_numpy, pad_sequences(requests.histories, [unknown_signals(8)] * 20, 8)
        )
        states = model.tower(vectors[items], signals)[:, -1]
        offered = torch.take_along_dim(states @ vectors.T, torch.from_numpy(candidates[:, :3]), 1)
    assert (offered.argmax(1) == 2).float().mean() > 0.8
    with pytest.raises(ValueError, match="exactly one"):
        distil(model, text, Requests([ring[0]], [ring[1]]), candidates, scores, settings, CPU)
