"""Export of PyTorch modules to ONNX; text encoders are quantised to int8."""

import copy
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recloop.data.user_sequences import SIGNAL_WIDTH
from recloop.training.modules.peft_methods import merge_low_rank
from recloop.training.modules.text_encoder import TextEncoder
from recloop.training.modules.tower import UserTower
from recloop.training.modules.tree_attention import transformer_body

# The first opset that has GELU as one operator.
_OPSET = 20


def export_tower(tower: UserTower, dim: int, window: int) -> bytes:
    """Return the user tower as ONNX, for any batch size and length up to the window.

    Inputs are `history` `(batch, length, dim)` and `signals` `(batch, length, SIGNAL_WIDTH)`; the
    output is `users` `(batch, 1, dim)`, after the last step.

    Args:
        tower: The user tower.
        dim: Width of the item vectors.
        window: Largest number of steps.
    """
    last = _LastStep(copy.deepcopy(tower).cpu().eval())
    steps = (2, min(4, window))
    example = (torch.zeros(*steps, dim), torch.zeros(*steps, SIGNAL_WIDTH, dtype=torch.long))
    both = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", max=window)}
    return to_onnx(last, example, ["history", "signals"], ["users"], (both, both))


class _LastStep(nn.Module):
    """User tower that returns the last position only."""

    def __init__(self, tower: UserTower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, history: torch.Tensor, signals: torch.Tensor) -> torch.Tensor:
        users: torch.Tensor = self.tower(history, signals, last_only=True)
        return users


def export_encoder(encoder: TextEncoder) -> bytes:
    """Return the text encoder as ONNX, int8 per channel (see `export_float32_encoder`)."""
    return quantise(export_float32_encoder(encoder))


def export_float32_encoder(encoder: TextEncoder) -> bytes:
    """Return the text encoder as ONNX, float32.

    Inputs are `input_ids` and `attention_mask` `(batch, tokens)`; the output is unit `vectors`
    `(batch, width)`. Low-rank updates are merged; adapters and prefixes stay parts of the graph.
    """
    served = TextEncoder(exportable_backbone(copy.deepcopy(encoder.backbone).cpu().eval()))
    example = (torch.ones(2, 8, dtype=torch.long), torch.ones(2, 8, dtype=torch.long))
    dims = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=512)}
    return to_onnx(served, example, ["input_ids", "attention_mask"], ["vectors"], (dims, dims))


def exportable_backbone(backbone: nn.Module) -> nn.Module:
    """Prepare a language model for the export, in place, and return it.

    Low-rank updates are merged, and attention is computed step by step: PyTorch's fused attention
    is exported as more operators, with which the ranker takes half as long again.
    """
    full = merge_low_rank(backbone)
    transformer_body(full).set_attn_implementation("eager")
    return full


def quantise(full: bytes) -> bytes:
    """Quantise the weights of matrix products to int8, one scale for each output channel.

    Activations are quantised to unsigned 8-bit numbers when the model runs. On x86 processors
    without VNNI, ONNX Runtime adds two products of an activation and a weight in 16 bits and clips
    the sum. With the reduced range no weight exceeds 64 in size, so that two products are at most
    2 · 255 · 64 = 32,640, which is below the limit of 32,767: the model gives the same results on
    every processor (docs/decisions/0017-int8-on-every-processor.md).

    Args:
        full: ONNX model in float32.

    Returns:
        ONNX model with the same inputs and outputs.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "full.onnx"), Path(folder, "int8.onnx")
        source.write_bytes(full)
        quantize_dynamic(
            source, target, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True
        )
        return target.read_bytes()


def to_onnx(
    module: nn.Module,
    example: tuple[torch.Tensor, ...],
    inputs: list[str],
    outputs: list[str],
    shapes: tuple[dict[int, Any], ...],
) -> bytes:
    """Return a module as ONNX.

    Args:
        module: The module, in evaluation mode.
        example: Example inputs.
        inputs: Names of the inputs.
        outputs: Names of the outputs.
        shapes: Dynamic dimensions of each input.

    Raises:
        RuntimeError: PyTorch's exporter returned no model.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # The exporter warns about its own deprecations.
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
            raise RuntimeError(
                f"PyTorch's ONNX exporter returned no model for {type(module).__name__}"
            )
        program.save(str(path), external_data=False)
        return path.read_bytes()
