"""Export of the LLM ranker to ONNX, int8."""

import copy

import torch
from torch.export import Dim

from recloop.training.export.onnx_export import exportable_backbone, quantise, to_onnx
from recloop.training.modules.cross_encoder import CrossEncoder, PackedBatch

_LONGEST = 1 << 16


def export_ranker(model: CrossEncoder) -> bytes:
    """Return the ranker as ONNX, int8 per channel; encoders and decoders alike.

    Inputs are the fields of `PackedBatch`; the output is `logits` `(pairs,)`, float32. The model
    computes the attention mask from the segments, so no padding token is needed.

    Args:
        model: The trained ranker.

    Raises:
        RuntimeError: PyTorch's exporter returned no model.
    """
    return quantise(export_float32_ranker(model))


def export_float32_ranker(model: CrossEncoder) -> bytes:
    """Return the ranker as ONNX, float32 (see `export_ranker`)."""
    served = copy.deepcopy(model).cpu().eval()
    served.backbone = exportable_backbone(served.backbone)
    example = served.batch(["a", "b", "b"], ["a", "b", "c"], torch.device("cpu"))
    sequences = {0: Dim("sequences"), 1: Dim("tokens", max=_LONGEST)}
    shapes = (sequences, sequences, sequences, {0: Dim("pairs", max=_LONGEST)})
    return to_onnx(served, example, list(PackedBatch._fields), ["logits"], shapes)
