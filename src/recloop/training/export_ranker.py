"""The LLM ranker as it serves: ONNX, int8."""

import copy

import torch
from torch.export import Dim

from recloop.models.ranker import Batch, CrossEncoder
from recloop.training.export import backbone_in_full, quantised, to_onnx

_LONGEST = 1 << 16


def export_ranker(model: CrossEncoder) -> bytes:
    """ONNX, int8 per channel: the fields of a `Batch` → `logits` `(pairs,)`.

    Raises:
        ValueError: the form is `yes-no`; a decoder does not serve this way.
    """
    if model.config.form != "classification":
        raise ValueError("only the classification form is exported")
    served = copy.deepcopy(model).cpu().eval()
    served.backbone = backbone_in_full(served.backbone)
    example = served.batch(["a", "b", "b"], ["a", "b", "c"], torch.device("cpu"))
    sheets = {0: Dim("sheets"), 1: Dim("tokens", max=_LONGEST)}
    shapes = (sheets, sheets, sheets, {0: Dim("pairs", max=_LONGEST)})
    return quantised(to_onnx(served, example, list(Batch._fields), ["logits"], shapes))
