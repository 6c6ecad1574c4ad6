"""Continued pretraining of a language model on the texts of the catalogue.

The objective is the model's own: masked words for encoders, the next word for decoders. The result
is a folder that is used like any other base model.

Reference:
    Gururangan et al. 2020, "Don't Stop Pretraining".
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from recloop.config import ConfigModel
from recloop.data.catalogue import Rows
from recloop.training.device import Compute
from recloop.training.modules.text_encoder import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Batch = dict[str, Tensor]
Progress = Callable[[dict[str, float]], None]

_HELD_OUT = 0.1
_NO_LABEL = -100
# Parts of the names of checkpoint classes that have a language-model head.
_HEADS = ("LM", "PreTraining")


class PretrainConfig(ConfigModel):
    """Settings of continued pretraining of the language model on the catalogue's text."""

    epochs: int = 0
    """Passes over the text; 0 switches pretraining off."""
    batch: int = 32
    """Texts in a step."""
    max_tokens: int = 64
    """Tokens of a text that are read."""
    learning_rate: float = 5e-5
    """Learning rate of AdamW."""
    mask_share: float = 0.15
    """Share of tokens that are masked (encoders only; decoders predict every next token)."""
    seed: int = 42
    """Seed of the random numbers."""


def pretrain(
    base: Path | str,
    texts: Sequence[str],
    target: Path,
    config: PretrainConfig,
    compute: Compute,
    progress: Progress = lambda _: None,
) -> dict[str, Any]:
    """Train `base` (a local folder or a Hugging Face id) on the texts, and save it into `target`.

    A tenth of the texts, at least one, is held out.

    Returns:
        The held-out loss per token before and after, and whether the head was initialised at random
        (then the loss before is that of a random head).

    Raises:
        ValueError: Fewer than two texts, or the tokenizer of an encoder has no mask token.
    """
    if len(texts) < 2:  # noqa: PLR2004 - one to learn from, one to measure on
        raise ValueError(f"continued pretraining needs two texts at least, not {len(texts)}")
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    tokenizer = load_tokenizer(base)
    model, kind, new_head = _load(base)
    nn.Module.to(model, compute.device)
    data = _Batches(texts, tokenizer, config, masked=kind == "masked")
    order = rng.permutation(len(texts))
    held = max(1, round(_HELD_OUT * len(texts)))
    held_out, rows = list(data.of(order[:held])), order[held:]

    before = held_out_loss(model, held_out, compute)
    step = _Step(model, config, -(-len(rows) // config.batch), compute)
    for epoch in range(1, config.epochs + 1):
        losses = [step(batch) for batch in data.of(rng.permutation(rows))]
        progress({"epoch": float(epoch), "loss": float(np.mean(losses))})
    after = held_out_loss(model, held_out, compute)
    model.cpu().save_pretrained(target)
    tokenizer.save_pretrained(target)
    return {
        "objective": kind,
        "new_head": new_head,
        "texts": len(texts),
        "held_out": held,
        "held_out_loss": {"before": before, "after": after},
    }


def held_out_loss(model: "PreTrainedModel", batches: Sequence[Batch], compute: Compute) -> float:
    """Return the mean cross-entropy per labelled token, in nats.

    Args:
        model: The language model.
        batches: Token ids, attention masks and labels, `(texts, tokens)` each.
        compute: Device and precision.
    """
    model.train(mode=False)
    total = 0.0
    with torch.inference_mode():
        for batch in batches:
            total += float(_loss(model, batch, compute)) * _labelled(batch)
    return total / max(sum(map(_labelled, batches)), 1)


def _loss(model: "PreTrainedModel", batch: Batch, compute: Compute) -> Tensor:
    with compute.forward(batch["input_ids"].shape[1]):
        loss: Tensor = model(**_to(batch, compute)).loss
    return loss


def _labelled(batch: Batch) -> int:
    """Return the number of predicted tokens of a batch, whose labels are `(texts, tokens)`.

    The first token of a text is never predicted.
    """
    return int((batch["labels"][:, 1:] != _NO_LABEL).sum())


def _load(base: Path | str) -> "tuple[PreTrainedModel, str, bool]":
    from transformers import (
        MODEL_FOR_MASKED_LM_MAPPING,
        AutoConfig,
        AutoModelForCausalLM,
        AutoModelForMaskedLM,
    )

    local = Path(base).is_dir()
    config = AutoConfig.from_pretrained(base, local_files_only=local)
    kind = "masked" if type(config) in MODEL_FOR_MASKED_LM_MAPPING else "causal"
    has_head = any(part in name for name in config.architectures or () for part in _HEADS)
    if not has_head:
        config.tie_word_embeddings = True  # a new head has something to begin with
    auto = AutoModelForMaskedLM if kind == "masked" else AutoModelForCausalLM
    model: PreTrainedModel = auto.from_pretrained(
        base,
        config=config,
        local_files_only=local,
        use_safetensors=True,
        dtype=torch.float32,
    )
    return model, kind, not has_head


class _Batches:
    """Batches of tokenised texts; masks are drawn anew each time, from one seed."""

    def __init__(
        self,
        texts: Sequence[str],
        tokenizer: "PreTrainedTokenizerBase",
        config: PretrainConfig,
        *,
        masked: bool,
    ) -> None:
        from transformers import DataCollatorForLanguageModeling

        self._ids = tokenizer(
            list(texts),
            truncation=True,
            max_length=config.max_tokens,
            return_special_tokens_mask=masked,
        )
        self._size = config.batch
        self._collate = DataCollatorForLanguageModeling(
            tokenizer, mlm=masked, mlm_probability=config.mask_share, seed=config.seed
        )
        self._masked = masked

    def of(self, rows: Rows) -> list[Batch]:
        """Return `input_ids`, `attention_mask` and `labels` `(batch, tokens)` of texts, in order.

        A batch in which chance masked no token is left out: it has no loss.
        """
        starts = range(0, len(rows), self._size)
        batches = [self._batch(rows[start : start + self._size].tolist()) for start in starts]
        return [batch for batch in batches if _labelled(batch)]

    def _batch(self, rows: list[int]) -> Batch:
        chosen = [{name: ids[row] for name, ids in self._ids.items()} for row in rows]
        batch: Batch = dict(self._collate(chosen))
        if not self._masked:  # where the pad is the end of a text, the collator cannot tell
            batch["labels"] = batch["input_ids"].masked_fill(
                batch["attention_mask"] == 0, _NO_LABEL
            )
        return batch


class _Step:
    """Training step; the optimiser keeps its state between batches."""

    def __init__(
        self, model: "PreTrainedModel", config: PretrainConfig, batches: int, compute: Compute
    ) -> None:
        self._model = model
        self._compute = compute
        self._optimizer = torch.optim.AdamW(model.parameters(), config.learning_rate)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer,
            config.learning_rate,
            total_steps=max(1, config.epochs * batches),
            pct_start=0.1,
        )

    def __call__(self, batch: Batch) -> float:
        self._model.train()
        loss = _loss(self._model, batch, self._compute)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimizer.step()
        self._schedule.step()
        return float(loss.detach())


def _to(batch: Batch, compute: Compute) -> Batch:
    return {name: value.to(compute.device) for name, value in batch.items()}
