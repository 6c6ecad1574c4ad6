"""Distillation of the ranker into the sequence model, which is then served without the ranker.

The sequence model is tuned towards the ranker's distribution over the candidates of a request,
mixed with its own loss. That gained nothing on the data sets that were tried (docs/log.md), so it
is not part of the product.

References:
    Hinton, Vinyals & Dean 2015, "Distilling the Knowledge in a Neural Network".
    Cao et al. 2007, "Learning to Rank: From Pairwise Approach to Listwise Approach" (ListNet).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recloop.config import ConfigModel
from recloop.data.user_sequences import pad_sequences
from recloop.evaluation.evaluation_requests import Requests
from recloop.scoring.scorer import Scores, signals_or_unknown
from recloop.scoring.top_k import Ranked
from recloop.training.device import Compute
from recloop.training.finetuning.losses import full_softmax
from recloop.training.finetuning.sequence_model import SequenceModel


class DistilConfig(ConfigModel):
    """Settings of the distillation.

    `teacher_weight` in [0, 1] is the share of the listwise loss; the rest is that of the full
    softmax. `temperature` divides the scores of the teacher.
    """

    epochs: int = 3
    batch: int = 64
    learning_rate: float = 3e-4
    weight_decay: float = 0.01
    teacher_weight: float = 0.5
    temperature: float = 0.5
    seed: int = 42


def distil(
    model: SequenceModel,
    text_vectors: Tensor,
    requests: Requests,
    candidates: Ranked,
    teacher_scores: Scores,
    config: DistilConfig,
    compute: Compute,
) -> list[dict[str, float]]:
    """Tune `model` in place, on requests with one relevant item each.

    Args:
        model: Student; its weights are changed.
        text_vectors: Text vectors, `(items, width)`. They are not changed.
        requests: Requests to learn from.
        candidates: Rows of the catalogue, `(requests, depth)`; -1 is an empty rank.
        teacher_scores: The teacher's scores of the candidates, `(requests, depth)`.
        config: Settings.
        compute: Device and precision.

    Returns:
        Mean `kl` (in nats, to the teacher) and `softmax` loss of each epoch.

    Raises:
        ValueError: A request has no history, no candidate, or not exactly one relevant item, which
            training has seen.
    """
    _check(model, requests, candidates)
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    teacher = _distributions(candidates, teacher_scores, config.temperature)
    optimizer = torch.optim.AdamW(
        model.parameters(), config.learning_rate, weight_decay=config.weight_decay
    )
    epochs = []
    for _ in range(config.epochs):
        model.train(compute.device)
        losses = []
        for batch in _batches(model, requests, candidates, teacher, config.batch, rng):
            kl, softmax = _losses(model, text_vectors, batch.to(compute.device), compute)
            _step(model, optimizer, kl.lerp(softmax, 1 - config.teacher_weight))
            losses.append((kl.item(), softmax.item()))
        epochs.append(dict(zip(("kl", "softmax"), np.mean(losses, axis=0).tolist(), strict=True)))
    model.items.eval()
    model.tower.eval()
    return epochs


def _check(model: SequenceModel, requests: Requests, candidates: Ranked) -> None:
    if not all(map(len, requests.histories)) or not (candidates >= 0).any(1).all():
        raise ValueError("each request needs a history and a candidate")
    known = model.warm.cpu().numpy()
    if not all(len(rows) == 1 and known[rows[0]] for rows in requests.relevant):
        raise ValueError("each request needs exactly one relevant item, known to the model")


def _step(model: SequenceModel, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


@dataclass(frozen=True)
class _Batch:
    histories: Tensor  # (batch, length), padded with 0 at the end
    signals: Tensor  # (batch, length, WIDTH)
    last: Tensor  # (batch,): position of the newest item
    targets: Tensor  # (batch,)
    candidates: Tensor  # (batch, depth)
    teacher: Tensor  # (batch, depth), sums to 1; 0 where there is no candidate

    def to(self, device: torch.device) -> "_Batch":
        return _Batch(*(value.to(device) for value in vars(self).values()))


def _batches(
    model: SequenceModel,
    requests: Requests,
    candidates: Ranked,
    teacher: Scores,
    size: int,
    rng: np.random.Generator,
) -> Iterator[_Batch]:
    window = model.tower.window
    step_signals = signals_or_unknown(requests)
    order = rng.permutation(len(requests.histories))
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        recent = [requests.histories[row] for row in rows]
        histories, signals = map(
            torch.from_numpy, pad_sequences(recent, [step_signals[row] for row in rows], window)
        )
        last = torch.tensor([min(len(history), window) - 1 for history in recent])
        targets = torch.tensor([int(requests.relevant[row][0]) for row in rows])
        candidate_rows, target = map(torch.from_numpy, (candidates[rows], teacher[rows]))
        yield _Batch(histories, signals, last, targets, candidate_rows, target)


def _losses(
    model: SequenceModel, text: Tensor, batch: _Batch, compute: Compute
) -> tuple[Tensor, Tensor]:
    with compute.forward(batch.histories.shape[1]):
        vectors = model.items(text, model.warm)
        states = model.tower(vectors[batch.histories], batch.signals)
    users = states[torch.arange(len(batch.last), device=states.device), batch.last].float()
    vectors = vectors.float()
    scores = (vectors[batch.candidates.clamp(min=0)] @ users.unsqueeze(2)).squeeze(2)
    student = F.log_softmax(scores.masked_fill(batch.candidates < 0, -torch.inf), dim=1)
    # An empty rank has no probability on either side and adds nothing.
    student = student.masked_fill(batch.candidates < 0, 0.0)
    kl = F.kl_div(student, batch.teacher, reduction="batchmean")
    position = model.warm.cumsum(0) - 1
    return kl, full_softmax(users, vectors[model.warm], position[batch.targets])


def _distributions(candidates: Ranked, scores: Scores, temperature: float) -> Scores:
    real = candidates >= 0
    logits = np.where(real, scores / temperature, -np.inf)
    raised = np.exp(logits - logits.max(1, keepdims=True))
    probabilities: Scores = (raised / raised.sum(1, keepdims=True)).astype(np.float32)
    return probabilities
