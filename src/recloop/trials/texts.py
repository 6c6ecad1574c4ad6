"""What the language model makes of a data set's texts: vectors, frozen or tuned with the sequence model."""

import numpy as np
import torch
from numpy.typing import NDArray

from recloop.data.catalogue import Rows
from recloop.models.bases import TextConfig, Tuning, resolve_base
from recloop.models.text import Texts, encode_all, load_encoder
from recloop.training.device import choose
from recloop.training.sequence import FrozenText, MakeSide, TextSide, TrainConfig
from recloop.training.textside import TunedText
from recloop.trials.config import Say
from recloop.trials.folder import DataSet
from recloop.trials.neural import HEAD, SPARSE, TEXT_PASSES
from recloop.trials.timeline import Timeline

_MANY_TEXTS = 30_000


def text_vectors(data: DataSet, past: Timeline, say: Say) -> NDArray[np.float32]:
    """Frozen vectors `(items, width)` of the most popular items' texts; zeros where there is none."""
    texts = data.texts()
    counts = np.bincount(past.items, minlength=len(texts))
    rows = np.argsort(-counts, kind="stable")[:HEAD]
    rows = rows[[bool(texts[row]) for row in rows]]
    if not len(rows):
        return no_text(len(texts))
    say(f"encoding {len(rows)} texts")
    config = TextConfig(tuning="frozen")
    encoder, tokenizer = load_encoder(resolve_base(config.base), config)
    compute = choose("auto")
    chosen = Texts([texts[row] for row in rows], tokenizer, config)
    with compute.autocast():
        encoded = encode_all(encoder.to(compute.device), chosen, compute.device)
    vectors = np.zeros((len(texts), encoded.shape[1]), np.float32)
    vectors[rows] = encoded.float().cpu().numpy()
    return vectors


def no_text(items: int) -> NDArray[np.float32]:
    """Where no model reads texts, or there are none."""
    return np.zeros((items, 1), np.float32)


def frozen_side(vectors: NDArray[np.float32]) -> MakeSide:
    """Vectors `(items, width)` that stay as they are."""
    device = choose("auto").device
    return lambda rows: FrozenText(torch.from_numpy(vectors[rows]).to(device))


def usual_tuning(past: Timeline, texts: NDArray[np.float32]) -> Tuning:
    """Where items are met rarely, what is read of them counts more: there the language model learns too.

    Not where there are so many texts that it would take longer than everything else.
    """
    met = max(int(past.known().sum()), 1)
    rare = len(past.items) / met < SPARSE
    return "lora" if rare and np.count_nonzero(texts.any(1)) <= _MANY_TEXTS else "frozen"


def tuned_side(data: DataSet, tuning: Tuning, seed: int) -> MakeSide:
    """The default language model, tuned on the sequence model's loss."""

    def make(rows: Rows) -> TextSide:
        torch.manual_seed(seed)
        settings, texts, compute = TextConfig(tuning=tuning), data.texts(), choose("auto")
        encoder, tokenizer = load_encoder(resolve_base(settings.base), settings)
        read = Texts([texts[row] for row in rows], tokenizer, settings)
        return TunedText(encoder, read, TrainConfig().text_learning_rate, compute, TEXT_PASSES)

    return make
