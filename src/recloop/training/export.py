"""From PyTorch modules to what serves: ONNX files, the encoder in int8."""

import copy
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from peft import PeftModel
from torch import nn

from recloop.models.ranker import CrossEncoder
from recloop.models.text import TextEncoder
from recloop.models.tower import UserTower

_OPSET = 18
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def export_tower(tower: UserTower, dim: int, window: int) -> bytes:
    """ONNX: `history (batch, length, dim)` → `users (batch, length, dim)`, any batch and length."""
    tower = copy.deepcopy(tower).cpu().eval()
    example = torch.zeros(2, min(4, window), dim)
    length = torch.export.Dim("length", max=window)
    shapes = ({0: torch.export.Dim("batch"), 1: length},)
    return _export(tower, (example,), ["history"], ["users"], shapes)


def export_encoder(encoder: TextEncoder) -> bytes:
    """ONNX, int8 per channel: `input_ids`, `attention_mask` `(batch, tokens)` → unit vectors."""
    merged = copy.deepcopy(encoder).cpu().eval()
    if isinstance(merged.backbone, PeftModel):
        merged = TextEncoder(merged.backbone.merge_and_unload())
    example = (torch.ones(2, 8, dtype=torch.long), torch.ones(2, 8, dtype=torch.long))
    dims = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=512)}
    return _int8(
        _export(merged, example, ["input_ids", "attention_mask"], ["vectors"], (dims, dims))
    )


def export_ranker(model: CrossEncoder) -> bytes:
    """ONNX, int8 per channel: the tokenizer's inputs `(batch, tokens)` → `logits` `(batch, 1)`.

    Raises:
        ValueError: the form is `yes-no`; a decoder does not serve this way.
    """
    if model.config.form != "classification":
        raise ValueError("only the classification form is exported")
    backbone = copy.deepcopy(model.backbone).cpu().eval()
    if isinstance(backbone, PeftModel):
        backbone = backbone.merge_and_unload()
    read = model.pad(model.tokens(["a"], ["b"]), torch.device("cpu"))
    names = [name for name in _INPUTS if name in read]
    dims = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=512)}
    example = tuple(torch.ones(2, 8, dtype=torch.long) for _ in names)
    shapes = tuple(dims for _ in names)
    return _int8(_export(_Logits(backbone), example, names, ["logits"], shapes))


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


def _int8(full: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "full.onnx"), Path(folder, "int8.onnx")
        source.write_bytes(full)
        quantize_dynamic(source, target, weight_type=QuantType.QInt8, per_channel=True)
        return target.read_bytes()


def _export(
    module: nn.Module,
    example: tuple[torch.Tensor, ...],
    inputs: list[str],
    outputs: list[str],
    shapes: tuple[dict[int, Any], ...],
) -> bytes:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        path = Path(folder, "model.onnx")
        program = torch.onnx.export(
            module,
            example,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=shapes,
            dynamo=True,
            opset_version=_OPSET,
            verbose=False,
        )
        if program is None:
            raise RuntimeError("the ONNX exporter returned nothing")
        program.save(str(path), external_data=False)
        return path.read_bytes()
