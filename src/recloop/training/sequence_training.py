"""Training of the sequence model: tuned on validation data, then refitted on all before the test.

The refit uses the text vectors that tuning ended with. If there is an earlier model, tuning
continues from it for fewer epochs, with its language model unchanged. If that loses too much of
what the earlier model had learned, training starts from scratch instead.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recloop.data.catalogue import Catalogue
from recloop.data.user_sequences import UserSequence
from recloop.evaluation.evaluation_requests import Requests, validation_sample
from recloop.training import checkpoint
from recloop.training.device import Compute
from recloop.training.finetuning.auto_settings import settings_from_data
from recloop.training.finetuning.fit import Progress, TrainingHistory, ValidationMetric, fit
from recloop.training.finetuning.sequence_model import (
    FrozenTextVectors,
    SequenceModel,
    TextVectorSource,
    TrainConfig,
)
from recloop.training.finetuning.time_budget import measure_speed, within_budget
from recloop.training.finetuning.trainable_text import TrainableTextVectors
from recloop.training.finetuning.validation import validation_metric
from recloop.training.finetuning.warm_start import forgetting_requests, transfer_to_catalogue
from recloop.training.item_subset import ItemSubset
from recloop.training.modules.text_encoder import TextEncoder
from recloop.training.trained_sequence import Language, TrainedSequence
from recloop.training.training_data import TrainingData

# Largest and smallest number of requests by which forgetting is measured.
_MOST_REQUESTS, _FEWEST_REQUESTS = 2_000, 100
# Share of the epochs of training from scratch that continuing takes (docs/log.md).
_SHARE = 1 / 6


@dataclass(frozen=True)
class EarlierModel:
    """Model to continue from, its items, and the time of its last interaction in seconds."""

    model: SequenceModel
    ids: Sequence[str]
    config: TrainConfig
    restore_encoder: Callable[[TextEncoder], None]
    learned_until: float


def train_sequence(
    data: TrainingData,
    config: TrainConfig,
    compute: Compute,
    *,
    base: str | None,
    earlier: EarlierModel | None = None,
    text: NDArray[np.float32] | None = None,
    progress: Callable[[str], Progress] = lambda _: lambda _: None,
) -> TrainedSequence:
    """Train the sequence model, and through its loss the language model where it is tuned.

    Args:
        data: Items, interactions and validation requests.
        config: Settings; what is left out is chosen from the data.
        compute: Device and precision.
        base: Folder or Hugging Face id of the language model. Without it, an item is its ID, and
            its vector of `text` if that is given.
        earlier: A model to continue from.
        text: Text vectors of all items, `(items, width)`, that need no language model.
        progress: Returns the callback of a phase, which is called with the entry of every epoch.
    """
    subset = ItemSubset.most_popular(data.past, config.items)
    catalogue = data.catalogue
    texts = [catalogue.texts()[row] for row in subset.rows] if base else []
    if earlier is not None:  # its sizes, whatever today's data would have
        sizes = {"tower": earlier.config.tower, "text": earlier.config.text}
        config = config.model_copy(update=sizes)
    free = {"epochs", "share", "text_passes"} - config.model_fields_set
    vectors = np.zeros((len(subset.rows), 1), np.float32) if text is None else text[subset.rows]
    written = sum(map(bool, texts)) if base else int(vectors.any(1).sum())
    config = settings_from_data(config, data.train, written)
    setup = _Setup(data, subset, config, compute, texts, base, vectors, free)
    tuned = setup.tune(earlier, progress("tune"))
    forgetting = tuned.forgetting
    forgot = forgetting is not None and forgets_too_much(forgetting, config.max_forgetting)
    if forgot:
        tuned = setup.tune(None, progress("tune"))
    final = setup.refit(tuned, progress("refit"))
    change: dict[str, float] = {}
    if tuned.language is not None:
        encoder = tuned.language.encoder
        change = checkpoint.tuned_change(encoder, tuned.before, tuned.text.vectors)
    return TrainedSequence(
        subset.rows,
        tuned.config,
        tuned.model,
        final,
        tuned.text.vectors,
        tuned.history,
        tuned.language,
        change,
        forgetting,
        forgot,
    )


@dataclass(frozen=True)
class _Tuned:
    """Result of tuning, and its settings; `before` are the text vectors that it began with."""

    config: TrainConfig
    model: SequenceModel
    history: TrainingHistory
    text: TextVectorSource
    before: Tensor
    language: Language | None
    forgetting: dict[str, float] | None


@dataclass(frozen=True)
class _Setup:
    """Everything that tuning and refitting share.

    `free` are the names of the settings that may follow from the time that training takes, and
    `vectors` the text vectors `(items, width)` if no language model gives them.
    """

    data: TrainingData
    subset: ItemSubset
    config: TrainConfig
    compute: Compute
    texts: Sequence[str]
    base: str | None
    vectors: NDArray[np.float32]
    free: Collection[str]

    def tune(self, earlier: EarlierModel | None, progress: Progress) -> _Tuned:
        """Train on training data, from an earlier model if given; validation picks the epoch."""
        config, start, started = self.config, None, time.monotonic()
        language = (
            Language.load(self.base, config.text, config.seed)
            if self.base and any(self.texts)
            else None
        )
        if earlier is not None:
            if language is not None:
                earlier.restore_encoder(language.encoder)
            config = config.continuing(config.epochs, _SHARE)
            items = Catalogue(self.data.catalogue.items[self.subset.rows])
            carried_over = transfer_to_catalogue(earlier.model, earlier.ids, items, config.tower)
            start = carried_over.to(self.compute.device)
        text = self._text_source(language, config)
        before = text.vectors
        sample = validation_sample(self.data.valid, self.data.items, config.seed)
        requests = self.subset.requests(sample)
        metric = validation_metric(requests, config.tower.window)
        validate = metric if requests.histories else None
        sequences = self.subset.sequences(self.data.train)
        if start is None:
            left = config.seconds - (time.monotonic() - started)
            config = self._affordable(left, text, sequences, validate)
        model, history = fit(
            sequences,
            text,
            config,
            self.compute,
            start=start,
            validate=validate,
            progress=progress,
        )
        forgetting = None
        if earlier is not None and start is not None:
            old = self.subset.sequences(self.data.train.before(earlier.learned_until))
            repeats = not self.data.valid.masked
            learned = forgetting_requests(old, _MOST_REQUESTS, config.seed, repeats=repeats)
            forgetting = _forgetting(start, model, before, text.vectors, learned, config)
        # The next continuation counts from the epochs of training from scratch.
        kept = config if start is None else self.config
        return _Tuned(kept, model, history, text, before, language, forgetting)

    def _affordable(
        self,
        seconds: float,
        text: TextVectorSource,
        sequences: Sequence[UserSequence],
        validate: ValidationMetric | None,
    ) -> TrainConfig:
        """Return the settings with what fits into these seconds, by measured speed."""
        text_pass = text.pass_seconds() if isinstance(text, TrainableTextVectors) else 0.0
        started = time.monotonic()
        speed = measure_speed(sequences, text, self.config, self.compute, validate, text_pass)
        left = seconds - (time.monotonic() - started)
        return within_budget(self.config, speed, left, self.free)

    def refit(self, tuned: _Tuned, progress: Progress) -> SequenceModel:
        """Return the model after further training on all data before the test."""
        if not tuned.model.warm.any():
            return tuned.model
        model, _ = fit(
            self.subset.sequences(self.data.past),
            FrozenTextVectors(tuned.text.vectors),
            tuned.config.continuing(tuned.history.best_epochs()),
            self.compute,
            start=tuned.model,
            progress=progress,
        )
        return model

    def _text_source(self, language: Language | None, config: TrainConfig) -> TextVectorSource:
        if language is None:
            return FrozenTextVectors(torch.from_numpy(self.vectors).to(self.compute.device))
        return TrainableTextVectors(
            language.encoder,
            language.texts(self.texts),
            config.text_learning_rate,
            self.compute,
            len(config.text_passes),
        )


def forgets_too_much(forgetting: dict[str, float], bound: float) -> bool:
    """Return whether more than a share of `bound` was lost; False for too few requests."""
    enough = forgetting["requests"] >= _FEWEST_REQUESTS
    return enough and forgetting["after"] < (1 - bound) * forgetting["before"]


def _forgetting(
    earlier: SequenceModel,
    model: SequenceModel,
    before: Tensor,
    after: Tensor,
    learned: Requests,
    config: TrainConfig,
) -> dict[str, float]:
    """Measure NDCG@10 of the earlier and of the new model on what the earlier one had learned.

    Args:
        earlier: The earlier model.
        model: The new model.
        before: Text vectors of the earlier model, `(items, width)`.
        after: Text vectors of the new model, `(items, width)`.
        learned: Requests that the earlier model was trained on.
        config: Settings.

    Returns:
        Number of requests, and NDCG@10 before and after.
    """
    if not learned.histories:
        return {"requests": 0.0, "before": 0.0, "after": 0.0}
    measure = validation_metric(learned, config.tower.window)
    return {
        "requests": float(len(learned.histories)),
        "before": measure(earlier, before),
        "after": measure(model, after),
    }
