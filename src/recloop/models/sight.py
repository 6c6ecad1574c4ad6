"""How a transformers model is made to read one behaviour with several candidates beside it."""

from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel


def sight(segments: Tensor, *, causal: bool) -> Tensor:
    """Additive mask `(sheets, 1, length, length)`: 0 where a token (row) reads another, else -inf.

    The behaviour (segment 0) reads itself, a candidate the behaviour and itself; `causal`: of these, what
    stands before. No row is without a token to read.
    """
    reader, read = segments[:, :, None], segments[:, None, :]
    seen = (read == 0) | (read == reader)
    if causal:
        seen = seen & torch.ones_like(seen).tril()
    nothing = torch.zeros(seen.shape, device=segments.device)
    return nothing.masked_fill(~seen, -torch.inf)[:, None]


def plain(backbone: nn.Module) -> PreTrainedModel:
    """The model as transformers knows it, with whatever is tuned in it."""
    found: Any = backbone.get_base_model() if isinstance(backbone, PeftModel) else backbone
    model: PreTrainedModel = found
    return model


def body_of(backbone: nn.Module) -> PreTrainedModel:
    """What reads tokens, without a head."""
    body: Any = plain(backbone).base_model
    model: PreTrainedModel = body
    return model


def first_place(body: PreTrainedModel) -> int:
    """The number of the first position: RoBERTa and its like begin behind that of the padding."""
    for name, module in body.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            return 0 if module.padding_idx is None else module.padding_idx + 1
    return 0


class Odds(nn.Module):
    """What a decoder's output layer says of one word against another: a logit, `(tokens, 1)`."""

    def __init__(self, decoder: PreTrainedModel, yes: int, no: int) -> None:
        super().__init__()
        self._words: nn.Module = decoder.get_output_embeddings()  # type: ignore[no-untyped-call]
        self._yes, self._no = yes, no

    def forward(self, states: Tensor) -> Tensor:
        weight = self._words.get_parameter("weight")
        odds: Tensor = states @ (weight[self._yes] - weight[self._no])[:, None]
        return odds
