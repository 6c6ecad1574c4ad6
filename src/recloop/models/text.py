"""The text encoder: any Hugging Face model, encoder or decoder type, ready to be tuned.

Knows texts and vectors, nothing of users, items or losses: whoever trains it hands in the gradient
of its loss with respect to the vectors.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from recloop.models.bases import TextConfig
from recloop.models.tuning import add_tuning


class TextEncoder(nn.Module):
    """Masked mean of the last hidden states, scaled to unit length."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """`(batch, tokens)` twice → `(batch, width)` unit vectors in float32."""
        hidden = self.backbone(input_ids=input_ids, attention_mask=attention_mask)
        states = hidden.last_hidden_state.float()
        weight = attention_mask.unsqueeze(-1).to(states.dtype)
        mean = (states * weight).sum(1) / weight.sum(1).clamp(min=1)
        return nn.functional.normalize(mean, dim=-1)


def load_encoder(
    folder: Path | str, config: TextConfig
) -> tuple[TextEncoder, PreTrainedTokenizerBase]:
    """Load a base model from a local folder or a Hugging Face id, and make it tunable.

    Only safetensors weights are read: nothing is unpickled and no remote code runs.
    """
    disable_progress_bar()  # type: ignore[no-untyped-call]
    local = Path(folder).is_dir()  # then the hub is not asked for anything
    tokenizer = load_tokenizer(folder)
    backbone: PreTrainedModel = AutoModel.from_pretrained(
        folder,
        local_files_only=local,
        use_safetensors=True,
        dtype=torch.float32,
        attn_implementation="sdpa",
    )
    if getattr(backbone, "pooler", None) is not None:
        backbone.register_module("pooler", None)  # unused: no gradient would ever reach it
    return TextEncoder(add_tuning(backbone, config)), tokenizer


def load_tokenizer(folder: Path | str) -> PreTrainedTokenizerBase:
    """The tokenizer of a base model, padding behind the text."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        folder, local_files_only=Path(folder).is_dir()
    )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    # There it moves no position, and nothing that only looks back ever sees it.
    tokenizer.padding_side = "right"
    return tokenizer


class Texts:
    """Tokenised texts, batched by length so that little is padded."""

    def __init__(
        self, texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, config: TextConfig
    ) -> None:
        self._tokens = tokenizer(list(texts), truncation=True, max_length=config.max_tokens)
        self._tokenizer = tokenizer
        lengths = torch.tensor([len(ids) for ids in self._tokens["input_ids"]])
        self.batches = torch.split(torch.argsort(lengths, stable=True), config.batch)
        self.count = len(texts)

    def take(self, rows: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        """Padded `(input_ids, attention_mask)` of these rows."""
        chosen = {
            name: [self._tokens[name][row] for row in rows.tolist()]
            for name in ("input_ids", "attention_mask")
        }
        padded = self._tokenizer.pad(chosen, return_tensors="pt")
        return padded["input_ids"].to(device), padded["attention_mask"].to(device)


def encode_all(encoder: TextEncoder, texts: Texts, device: torch.device) -> Tensor:
    """Vectors of every text, `(count, width)` in float32, without gradient."""
    vectors: Tensor | None = None
    with torch.inference_mode():
        for rows in texts.batches:
            batch = encoder(*texts.take(rows, device))
            if vectors is None:
                vectors = torch.empty(texts.count, batch.shape[1], device=device)
            vectors[rows.to(device)] = batch
    if vectors is None:
        raise ValueError("there are no texts to encode")
    return vectors.clone()
