"""Text encoder: any Hugging Face model, encoder or decoder type, prepared for fine-tuning.

It handles texts and vectors only, no users, items or losses: the trainer passes in the gradient of
its loss with respect to the vectors.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recloop.training.base_models import TextConfig
from recloop.training.device import Compute
from recloop.training.modules.peft_methods import apply_tuning

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class TextEncoder(nn.Module):
    """Encodes a text by the masked mean of the last hidden states, scaled to unit length.

    Args:
        backbone: Language model that returns hidden states.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return unit vectors `(batch, width)`, float32, from two inputs `(batch, tokens)`."""
        hidden = self.backbone(input_ids=input_ids, attention_mask=attention_mask)
        states = hidden.last_hidden_state.float()
        weight = attention_mask.unsqueeze(-1).to(states.dtype)
        mean = (states * weight).sum(1) / weight.sum(1).clamp(min=1)
        return nn.functional.normalize(mean, dim=-1)


def load_encoder(
    folder: Path | str, config: TextConfig
) -> "tuple[TextEncoder, PreTrainedTokenizerBase]":
    """Load a base model and prepare it for fine-tuning.

    Only safetensors weights are read: nothing is unpickled and no remote code runs.

    Args:
        folder: Local folder or Hugging Face id.
        config: Settings of the text encoder.

    Returns:
        The encoder and its tokenizer.
    """
    from transformers import AutoModel
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]
    local = Path(folder).is_dir()  # Hugging Face is not contacted for a local folder.
    tokenizer = load_tokenizer(folder)
    backbone: PreTrainedModel = AutoModel.from_pretrained(
        folder,
        local_files_only=local,
        use_safetensors=True,
        dtype=torch.float32,
        attn_implementation="sdpa",
    )
    if getattr(backbone, "pooler", None) is not None:
        backbone.register_module("pooler", None)  # The pooler is not used and gets no gradient.
    return TextEncoder(apply_tuning(backbone, config)), tokenizer


def load_tokenizer(folder: Path | str) -> "PreTrainedTokenizerBase":
    """Return the tokenizer of a base model, which pads on the right.

    Args:
        folder: Local folder or Hugging Face id.
    """
    from transformers import AutoTokenizer

    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        folder, local_files_only=Path(folder).is_dir()
    )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    # On the right, padding shifts no position, and causal models never attend to it.
    tokenizer.padding_side = "right"
    return tokenizer


class TokenizedTexts:
    """Tokenised texts, batched by length so that padding is short.

    Args:
        texts: Texts to tokenise.
        tokenizer: Tokenizer of the encoder.
        config: Settings of the text encoder: tokens of a text, texts in a batch.

    Attributes:
        written: False for empty texts, `(count,)`.
        batches: Row numbers of the texts of each batch.
        count: Number of texts.
        max_tokens: Length at which texts are cut.
    """

    def __init__(
        self, texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase", config: TextConfig
    ) -> None:
        self._tokens = tokenizer(list(texts), truncation=True, max_length=config.max_tokens)
        self._tokenizer = tokenizer
        self.written = torch.tensor([bool(text) for text in texts])
        lengths = torch.tensor([len(ids) for ids in self._tokens["input_ids"]])
        self.batches = torch.split(torch.argsort(lengths, stable=True), config.batch)
        self.count, self.max_tokens = len(texts), config.max_tokens

    def pad_batch(self, rows: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return token ids and attention mask of some texts, `(rows, longest)` each.

        Args:
            rows: Row numbers of the texts, `(rows,)`.
            device: Device of the result.
        """
        chosen = {
            name: [self._tokens[name][row] for row in rows.tolist()]
            for name in ("input_ids", "attention_mask")
        }
        padded = self._tokenizer.pad(chosen, return_tensors="pt")
        return padded["input_ids"].to(device), padded["attention_mask"].to(device)


def encode_all(encoder: TextEncoder, texts: TokenizedTexts, compute: Compute) -> Tensor:
    """Return vectors of every text, `(count, width)` in float32, without gradient.

    The vector of an empty text is zero.

    Args:
        encoder: The encoder, on the device of `compute`.
        texts: The texts.
        compute: Device and precision.

    Raises:
        ValueError: There are no texts.
    """
    vectors: Tensor | None = None
    device = compute.device
    with torch.inference_mode(), compute.forward(texts.max_tokens):
        for rows in texts.batches:
            batch = encoder(*texts.pad_batch(rows, device))
            if vectors is None:
                vectors = torch.empty(texts.count, batch.shape[1], device=device)
            vectors[rows.to(device)] = batch
    if vectors is None:
        raise ValueError("there are no texts to encode; pass at least one")
    return vectors * texts.written.to(device).unsqueeze(1)
