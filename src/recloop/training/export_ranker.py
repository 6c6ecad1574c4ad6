"""The LLM ranker as it serves: ONNX, int8."""

import copy

import torch
from torch import nn

from recloop.models.ranker import CrossEncoder
from recloop.models.tuning import merged
from recloop.training.export import quantised, to_onnx

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def export_ranker(model: CrossEncoder) -> bytes:
    """ONNX, int8 per channel: the tokenizer's inputs `(batch, tokens)` → `logits` `(batch, 1)`.

    Raises:
        ValueError: the form is `yes-no`; a decoder does not serve this way.
    """
    if model.config.form != "classification":
        raise ValueError("only the classification form is exported")
    backbone = merged(copy.deepcopy(model.backbone).cpu().eval())
    read = model.pad(model.tokens(["a"], ["b"]), torch.device("cpu"))
    names = [name for name in _INPUTS if name in read]
    dims = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=512)}
    example = tuple(torch.ones(2, 8, dtype=torch.long) for _ in names)
    shapes = tuple(dims for _ in names)
    return quantised(to_onnx(_Logits(backbone), example, names, ["logits"], shapes))


class _Logits(nn.Module):
    """A classification model's logits; not every model knows token types."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self._backbone = backbone

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        answer = self._backbone(input_ids=input_ids, attention_mask=attention_mask, **types)
        logits: torch.Tensor = answer.logits
        return logits
