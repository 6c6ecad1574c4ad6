"""From PyTorch modules to what serves: ONNX files, the encoder in int8."""

import copy
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn

from recloop.data.trail import WIDTH
from recloop.models.sight import body_of
from recloop.models.text import TextEncoder
from recloop.models.tower import UserTower
from recloop.models.tuning import merged

# The first that has GELU as one step.
_OPSET = 20


def export_tower(tower: UserTower, dim: int, window: int) -> bytes:
    """ONNX, any batch and length.

    `history (batch, length, dim)`, `signals (batch, length, WIDTH)` → `users (batch, 1, dim)`, after the
    last step.
    """
    last = _LastStep(copy.deepcopy(tower).cpu().eval())
    steps = (2, min(4, window))
    example = (torch.zeros(*steps, dim), torch.zeros(*steps, WIDTH, dtype=torch.long))
    both = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", max=window)}
    return to_onnx(last, example, ["history", "signals"], ["users"], (both, both))


class _LastStep(nn.Module):
    def __init__(self, tower: UserTower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, history: torch.Tensor, signals: torch.Tensor) -> torch.Tensor:
        users: torch.Tensor = self.tower(history, signals, last_only=True)
        return users


def export_encoder(encoder: TextEncoder) -> bytes:
    """ONNX, int8 per channel: `input_ids`, `attention_mask` `(batch, tokens)` → unit vectors."""
    return quantised(encoder_in_full(encoder))


def encoder_in_full(encoder: TextEncoder) -> bytes:
    """The same in float32. Low-rank changes are merged; adapters and prefix stay parts of the graph."""
    served = TextEncoder(backbone_in_full(copy.deepcopy(encoder.backbone).cpu().eval()))
    example = (torch.ones(2, 8, dtype=torch.long), torch.ones(2, 8, dtype=torch.long))
    dims = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=512)}
    return to_onnx(served, example, ["input_ids", "attention_mask"], ["vectors"], (dims, dims))


def backbone_in_full(backbone: nn.Module) -> nn.Module:
    """As it is exported: low-rank changes merged, attention written out. Changes the model in place.

    PyTorch's own attention is exported in more steps, and takes a ranker half as long again.
    """
    full = merged(backbone)
    body_of(full).set_attn_implementation("eager")
    return full


def quantised(full: bytes) -> bytes:
    """Weights in int8, per channel; activations follow at run time."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "full.onnx"), Path(folder, "int8.onnx")
        source.write_bytes(full)
        quantize_dynamic(source, target, weight_type=QuantType.QInt8, per_channel=True)
        return target.read_bytes()


def to_onnx(
    module: nn.Module,
    example: tuple[torch.Tensor, ...],
    inputs: list[str],
    outputs: list[str],
    shapes: tuple[dict[int, Any], ...],
) -> bytes:
    """A module as ONNX; `shapes` names each input's dynamic dimensions."""
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
