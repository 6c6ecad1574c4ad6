"""Tree attention: a transformers model reads one behaviour and several candidates in one sequence.

Reference:
    Miao et al. 2024, "SpecInfer: Accelerating Large Language Model Serving with Tree-based
    Speculative Inference and Verification".
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def tree_attention_mask(segments: Tensor, *, causal: bool) -> Tensor:
    """Return the additive attention mask, `(sequences, 1, length, length)`.

    The behaviour attends to itself, a candidate to the behaviour and to itself. Each token attends
    to at least one.

    Args:
        segments: 0 for tokens of the behaviour, n for tokens of the nth candidate,
            `(sequences, length)`.
        causal: Attend to earlier positions only, as decoders do.

    Returns:
        0 where a token (row) attends to another (column), else minus infinity; float32.
    """
    query, key = segments[:, :, None], segments[:, None, :]
    visible = (key == 0) | (key == query)
    if causal:
        visible = visible & torch.ones_like(visible).tril()
    zeros = torch.zeros(visible.shape, device=segments.device)
    return zeros.masked_fill(~visible, -torch.inf)[:, None]


def unwrap_peft(backbone: nn.Module) -> "PreTrainedModel":
    """Return the transformers model inside a PEFT model, with the modules that PEFT added."""
    from peft import PeftModel

    found: Any = backbone.get_base_model() if isinstance(backbone, PeftModel) else backbone
    model: PreTrainedModel = found
    return model


def transformer_body(backbone: nn.Module) -> "PreTrainedModel":
    """Return the transformer without its head."""
    body: Any = unwrap_peft(backbone).base_model
    model: PreTrainedModel = body
    return model


def first_position_id(body: "PreTrainedModel") -> int:
    """Return the first position id: 0, or in RoBERTa-type models the one after the padding's."""
    for name, module in body.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            return 0 if module.padding_idx is None else module.padding_idx + 1
    return 0


class YesNoHead(nn.Module):
    """Head of a decoder that returns the logit of "Yes" minus that of "No", `(tokens, 1)`.

    Args:
        decoder: Decoder with its output layer.
        yes: Token id of the answer yes.
        no: Token id of the answer no.
    """

    def __init__(self, decoder: "PreTrainedModel", yes: int, no: int) -> None:
        super().__init__()
        self._words: nn.Module = decoder.get_output_embeddings()  # type: ignore[no-untyped-call]
        self._yes, self._no = yes, no

    def forward(self, states: Tensor) -> Tensor:
        """Return the logits, `(tokens, 1)`, of hidden states `(tokens, width)`."""
        weight = self._words.get_parameter("weight")
        difference: Tensor = states @ (weight[self._yes] - weight[self._no])[:, None]
        return difference
