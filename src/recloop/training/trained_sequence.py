"""The trained sequence model with its language model, and how it scores in service."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recloop.data.catalogue import Rows
from recloop.scoring.channels.sasrec import SASRec
from recloop.training.base_models import TextConfig
from recloop.training.device import Compute
from recloop.training.export.onnx_export import export_tower
from recloop.training.finetuning.fit import TrainingHistory
from recloop.training.finetuning.sequence_model import SequenceModel, TrainConfig
from recloop.training.item_subset import spread
from recloop.training.modules.text_encoder import (
    TextEncoder,
    TokenizedTexts,
    encode_all,
    load_encoder,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Language:
    """A text encoder, and the tokenizer of its base model."""

    encoder: TextEncoder
    tokenizer: "PreTrainedTokenizerBase"
    config: TextConfig

    @classmethod
    def load(cls, base: str, config: TextConfig, seed: int) -> "Language":
        """Return the base model, made tunable; new weights follow from the seed."""
        torch.manual_seed(seed)
        return cls(*load_encoder(base, config), config)

    def texts(self, texts: Sequence[str]) -> TokenizedTexts:
        """Return tokenised texts."""
        return TokenizedTexts(texts, self.tokenizer, self.config)

    def encode(self, texts: Sequence[str], compute: Compute) -> Tensor:
        """Return text vectors `(texts, width)`, zero for empty texts."""
        return encode_all(self.encoder.to(compute.device), self.texts(texts), compute)


@dataclass(frozen=True)
class TrainedSequence:
    """The sequence model before and after it learned from validation data, and its inputs.

    Attributes:
        rows: The catalogue's rows of the items of the model, ascending, `(items of the model,)`.
        config: All settings, those chosen from the data as well.
        tuned: The model trained on training data, at its best epoch on validation.
        final: The model after further training on all data before the test.
        text: Text vectors of the items, `(items of the model, width)`.
        history: Losses and validation results of tuning.
        language: The tuned text encoder; None without texts.
        change: Size of the change of the language model by tuning; empty without texts.
        forgetting: NDCG@10 on what an earlier model had learned, before and after; None without an
            earlier model.
        forgot: Whether training started from scratch because too much had been forgotten.
    """

    rows: Rows
    config: TrainConfig
    tuned: SequenceModel
    final: SequenceModel
    text: Tensor
    history: TrainingHistory
    language: Language | None
    change: dict[str, float]
    forgetting: dict[str, float] | None = None
    forgot: bool = False

    def setting(self) -> dict[str, object]:
        """Return epochs, size and settings of the tower for reports."""
        trained = self.tuned.parameters()
        if self.language is not None:
            trained += [p for p in self.language.encoder.parameters() if p.requires_grad]
        size = sum(value.numel() for value in trained)
        tower = self.config.tower.model_dump()
        return {"epochs": self.history.best_epochs(), "parameters": size, **tower}


def sequence_scorer(
    model: SequenceModel, text: Tensor, rows: Rows, config: TrainConfig, items: int
) -> SASRec:
    """Return a trained model as it serves: the exported tower and vectors of all `items`.

    Args:
        model: The trained modules.
        text: Text vectors of the model's items, `(items of the model, width)`.
        rows: The catalogue's rows of these items, `(items of the model,)`.
        config: Settings.
        items: Number of items of the catalogue.
    """
    tower = config.tower
    vectors = item_vectors(model, text, rows, items)
    return SASRec(export_tower(model.tower, tower.dim, tower.window), vectors, tower.window)


def item_vectors(model: SequenceModel, text: Tensor, rows: Rows, items: int) -> NDArray[np.float32]:
    """Return vectors of all items for serving, `(items, dim)`, float32; zero if not in the model.

    All are zero where the model has learned nothing.
    """
    vectors = model.vectors(text).cpu().numpy()
    return spread(vectors * bool(model.warm.any()), rows, items)
