"""Language model as ranker: fit, predict, evaluate, save and load.

Reference:
    Nogueira & Cho 2019, "Passage Re-ranking with BERT".
"""

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

from recloop.ctr.metrics import auc
from recloop.scoring.ranker.packing import behaviour_text
from recloop.training.base_models import resolve_base
from recloop.training.device import Compute, choose
from recloop.training.finetuning.fit import Progress
from recloop.training.finetuning.ranker_examples import RankerExamples
from recloop.training.finetuning.sequence_model import copied
from recloop.training.modules.cross_encoder import CrossEncoder, RankerConfig, load_cross_encoder

_WEIGHTS, _SETTINGS = "ranker.safetensors", "ranker.json"
_WARM_UP = 0.1


class Ranker:
    """Language model that predicts whether a user engages with an item, from texts only.

    It reads the user's recent items, an optional search query and a candidate item together. A
    model of the encoder type (BERT) classifies the sequence; one of the decoder type (GPT) answers
    a question by yes or no. Probabilities reflect the share of positives among the examples.

    Args:
        config: Base model and settings of training.
        compute: Device and precision; a GPU is used if there is one.

    Raises:
        FileNotFoundError: The wheel that holds the base model is not installed.
        ValueError: The form does not suit the base model (see `load_cross_encoder`).
    """

    def __init__(self, config: RankerConfig, compute: Compute | None = None) -> None:
        torch.manual_seed(config.seed)  # The head gets the same initial weights each time.
        compute = compute or choose("auto")
        self.config = config
        self.model = load_cross_encoder(resolve_base(config.base), config).to(compute.device).eval()
        self._compute = compute

    def fit(
        self,
        examples: RankerExamples,
        *,
        progress: Progress = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> list[dict[str, float]]:
        """Fine-tune the model by binary cross-entropy with early stopping.

        Some requests are held out for validation; the weights of the best validation are kept.

        Args:
            examples: Pairs of behaviour and candidate, with labels.
            progress: Called with the entry of each validation.
            clock: Returns the time in seconds.

        Returns:
            One entry for each validation: step, seconds, mean loss since the last one, and log-loss
            and AUC of the held-out requests.

        Raises:
            ValueError: There are too few requests to hold any out.
        """
        started, rng = clock(), np.random.default_rng(self.config.seed)
        train, held = examples.hold_out(self.config.validation_share, rng)
        if not len(train) or not len(held):
            count = len(np.unique(examples.requests))
            raise ValueError(f"{count} requests are too few to hold some out for validation")
        steps = _Steps(self.model, train, self.config, self._compute, rng)
        validations: list[dict[str, float]] = []
        losses: list[float] = []
        best, restore = math.inf, copied(self.model.trainable_weights())
        while not steps.done:
            seconds = clock() - started
            losses.append(steps.take(seconds / self.config.max_seconds))
            if steps.done or steps.count % self.config.validate_every == 0:
                validations.append(self._validate(steps.count, clock() - started, losses, held))
                progress(validations[-1])
                losses = []
                log_loss = validations[-1]["log_loss"]
                if log_loss < best:
                    best, restore = log_loss, copied(self.model.trainable_weights())
                elif _waited(validations) >= self.config.patience:
                    break
        self.model.load_trainable_weights(restore)
        return validations

    def predict(
        self, behaviour: Sequence[str], query: str | None, candidates: Sequence[str]
    ) -> NDArray[np.float32]:
        """Return the probability of engagement for each candidate, `(candidates,)`, float32.

        Args:
            behaviour: Texts of the items of the history, oldest first.
            query: The search query, if there is one.
            candidates: Texts of the candidates.
        """
        text = behaviour_text(behaviour, query, self.config.history_length)
        probabilities: NDArray[np.float32] = expit(
            self.logits([text] * len(candidates), candidates)
        )
        return probabilities

    def logits(self, behaviours: Sequence[str], candidates: Sequence[str]) -> NDArray[np.float32]:
        """Return the logits of pairs of texts, `(pairs,)`, float32.

        It is fastest if pairs with the same behaviour follow each other.

        Args:
            behaviours: Behaviour of each pair, as `behaviour_text` makes it.
            candidates: Candidate of each pair.
        """
        if not behaviours:
            return np.empty(0, np.float32)
        self.model.eval()
        found, size = np.empty(len(behaviours), np.float32), self.config.batch
        with torch.inference_mode(), self._compute.forward(self.config.max_tokens):
            for start in range(0, len(behaviours), size):
                part = slice(start, start + size)
                batch = self.model.batch(behaviours[part], candidates[part], self._compute.device)
                found[part] = self.model(*batch).cpu().numpy()
        return found

    def evaluate(self, examples: RankerExamples) -> dict[str, float]:
        """Return `log_loss` (mean, in nats) and `auc` of all pairs (NaN if a class is missing)."""
        logits = self.logits(examples.behaviours, examples.candidates).astype(np.float64)
        # log(1 + e^x) - y x, the binary cross-entropy of a logit
        loss = np.logaddexp(0.0, logits) - examples.labels * logits
        return {"log_loss": float(loss.mean()), "auc": auc(examples.labels, logits)}

    def save(self, folder: Path) -> None:
        """Write settings as JSON and tuned weights as safetensors, without the base model."""
        folder.mkdir(parents=True, exist_ok=True)
        tuned = {
            name: p.detach().cpu().contiguous()
            for name, p in self.model.trainable_weights().items()
        }
        save_file(tuned, folder / _WEIGHTS)
        settings = self.config.model_dump_json(indent=2)
        folder.joinpath(_SETTINGS).write_text(settings + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, compute: Compute | None = None) -> "Ranker":
        """Load what `save` wrote.

        Raises:
            ValueError: The weights do not belong to the base model that the settings name.
        """
        config = RankerConfig.model_validate_json(folder.joinpath(_SETTINGS).read_bytes())
        ranker = cls(config, compute)
        ranker.model.load_trainable_weights(load_file(folder / _WEIGHTS))
        return ranker

    def _validate(
        self, step: int, seconds: float, losses: Sequence[float], held: RankerExamples
    ) -> dict[str, float]:
        entry = {"step": float(step), "seconds": seconds, "loss": float(np.mean(losses))}
        return entry | self.evaluate(held)


class _Steps:
    """Optimiser steps; the learning rate falls to 0 at the last step or the end of the time."""

    def __init__(
        self,
        model: CrossEncoder,
        train: RankerExamples,
        config: RankerConfig,
        compute: Compute,
        rng: np.random.Generator,
    ) -> None:
        self._model, self._config, self._compute = model, config, compute
        self._train = train
        self._plan = np.concatenate([train.shuffled(rng) for _ in range(config.epochs)])
        self._total = -(-len(self._plan) // config.batch)
        self._parameters = list(model.trainable_weights().values())
        self._optimizer = torch.optim.AdamW(self._parameters, config.learning_rate)
        self.count, self.done = 0, False

    def take(self, spent: float) -> float:
        """Take one step and return its loss; `spent` is the share of the time that has passed."""
        done = min(1.0, max(self.count / self._total, spent))
        for group in self._optimizer.param_groups:
            group["lr"] = self._config.learning_rate * min(1.0, done / _WARM_UP) * (1 - done)
        part = self._train.take(self._plan[self.count * self._config.batch :][: self._config.batch])
        device = self._compute.device
        self._model.train()
        batch = self._model.batch(part.behaviours, part.candidates, device)
        with self._compute.forward(self._config.max_tokens):
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


def _waited(validations: Sequence[dict[str, float]]) -> int:
    """Return the number of validations since the best one."""
    losses = [entry["log_loss"] for entry in validations]
    return len(losses) - 1 - int(np.argmin(losses))
