"""The ranker's whole life on texts: fit, predict, evaluate, save, load."""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from scipy.special import expit
from torch.nn import functional as F

from recloop.evaluation.ctr import auc
from recloop.models.bases import resolve_base
from recloop.models.pairs import behaviour_text
from recloop.models.ranker import CrossEncoder, RankerConfig, load_cross_encoder
from recloop.training.device import Compute
from recloop.training.examples import Examples
from recloop.training.finetune import Progress
from recloop.training.sequence import copied

_WEIGHTS, _SETTINGS = "ranker.safetensors", "ranker.json"
_WARM_UP = 0.1


class Ranker:
    """`P(engage | behaviour, query, candidate)` of a tuned language model.

    The probability is of the world of the examples: with four negatives to a positive, it is high.
    """

    def __init__(self, config: RankerConfig, compute: Compute) -> None:
        torch.manual_seed(config.seed)  # a new head starts alike each time
        self.config = config
        self.model = load_cross_encoder(resolve_base(config.base), config).to(compute.device).eval()
        self._compute = compute

    def fit(
        self,
        examples: Examples,
        *,
        progress: Progress = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> list[dict[str, float]]:
        """Binary cross-entropy with early stopping; the model ends as it was at the best look.

        Returns:
            One entry per look: step, seconds, mean loss since the last look, held-out log-loss, AUC.

        Raises:
            ValueError: too few requests to hold any out.
        """
        started, rng = clock(), np.random.default_rng(self.config.seed)
        train, held = examples.hold_out(self.config.held_out, rng)
        if not len(train) or not len(held):
            raise ValueError(f"{len(np.unique(examples.requests))} requests cannot be held out of")
        steps = _Steps(self.model, train, self.config, self._compute, rng)
        looks: list[dict[str, float]] = []
        losses: list[float] = []
        best, restore = math.inf, copied(self.model.tuned())
        while not steps.done:
            seconds = clock() - started
            losses.append(steps.take(seconds / self.config.max_seconds))
            if steps.done or steps.count % self.config.judge_every == 0:
                looks.append(self._look(steps.count, clock() - started, losses, held))
                progress(looks[-1])
                losses = []
                if looks[-1]["log_loss"] < best:
                    best, restore = looks[-1]["log_loss"], copied(self.model.tuned())
                elif _waited(looks) >= self.config.patience:
                    break
        self.model.restore(restore)
        return looks

    def predict(
        self, behaviour: Sequence[str], query: str | None, candidates: Sequence[str]
    ) -> NDArray[np.float32]:
        """Probabilities `(candidates,)`; `behaviour`: texts of the history's items, oldest first."""
        text = behaviour_text(behaviour, query, self.config.shown)
        probabilities: NDArray[np.float32] = expit(
            self.logits([text] * len(candidates), candidates)
        )
        return probabilities

    def logits(self, behaviours: Sequence[str], candidates: Sequence[str]) -> NDArray[np.float32]:
        """Logits `(pairs,)` of pairs of texts, the first as `behaviour_text` makes them.

        Fastest where pairs of one behaviour follow each other.
        """
        if not behaviours:
            return np.empty(0, np.float32)
        self.model.eval()
        found, size = np.empty(len(behaviours), np.float32), self.config.batch
        with torch.inference_mode(), self._compute.autocast():
            for start in range(0, len(behaviours), size):
                part = slice(start, start + size)
                batch = self.model.batch(behaviours[part], candidates[part], self._compute.device)
                found[part] = self.model(*batch).cpu().numpy()
        return found

    def evaluate(self, examples: Examples) -> dict[str, float]:
        """`log_loss` (mean, in nats), and `auc` over all pairs, nan where one class is missing."""
        logits = self.logits(examples.behaviours, examples.candidates).astype(np.float64)
        # log(1 + e^x) - y x, the binary cross-entropy of a logit
        loss = np.logaddexp(0.0, logits) - examples.labels * logits
        return {"log_loss": float(loss.mean()), "auc": auc(examples.labels, logits)}

    def save(self, folder: Path) -> None:
        """Settings as JSON and the tuned weights as safetensors; the base model stays where it is."""
        folder.mkdir(parents=True, exist_ok=True)
        tuned = {name: p.detach().cpu().contiguous() for name, p in self.model.tuned().items()}
        save_file(tuned, folder / _WEIGHTS)
        settings = self.config.model_dump_json(indent=2)
        folder.joinpath(_SETTINGS).write_text(settings + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, compute: Compute) -> "Ranker":
        """What `save` wrote.

        Raises:
            ValueError: the weights are not those of the base model that the settings name.
        """
        config = RankerConfig.model_validate_json(folder.joinpath(_SETTINGS).read_bytes())
        ranker = cls(config, compute)
        ranker.model.restore(load_file(folder / _WEIGHTS))
        return ranker

    def _look(
        self, step: int, seconds: float, losses: Sequence[float], held: Examples
    ) -> dict[str, float]:
        entry = {"step": float(step), "seconds": seconds, "loss": float(np.mean(losses))}
        return entry | self.evaluate(held)


class _Steps:
    """One optimiser step after another; the learning rate falls to 0 at whichever end is nearer."""

    def __init__(
        self,
        model: CrossEncoder,
        train: Examples,
        config: RankerConfig,
        compute: Compute,
        rng: np.random.Generator,
    ) -> None:
        self._model, self._config, self._compute = model, config, compute
        self._train = train
        self._plan = np.concatenate([train.shuffled(rng) for _ in range(config.epochs)])
        self._total = -(-len(self._plan) // config.batch)
        self._parameters = list(model.tuned().values())
        self._optimizer = torch.optim.AdamW(self._parameters, config.learning_rate)
        self.count, self.done = 0, False

    def take(self, spent: float) -> float:
        """The loss of one step; `spent` is the share of the time that is gone."""
        done = min(1.0, max(self.count / self._total, spent))
        for group in self._optimizer.param_groups:
            group["lr"] = self._config.learning_rate * min(1.0, done / _WARM_UP) * (1 - done)
        part = self._train.take(self._plan[self.count * self._config.batch :][: self._config.batch])
        device = self._compute.device
        self._model.train()
        batch = self._model.batch(part.behaviours, part.candidates, device)
        with self._compute.autocast():
            logits = self._model(*batch)
        labels = torch.from_numpy(part.labels).to(device)
        loss = F.binary_cross_entropy_with_logits(logits, labels)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        self.count += 1
        self.done = self.count >= self._total or spent >= 1
        return loss.item()


def _waited(looks: Sequence[dict[str, float]]) -> int:
    """Looks since the best one."""
    losses = [look["log_loss"] for look in looks]
    return len(losses) - 1 - int(np.argmin(losses))
