"""Device and precision of training."""

import contextlib
from dataclasses import dataclass
from typing import Literal

import torch

DeviceName = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True)
class Compute:
    """Device, and whether matrix products run in bfloat16 on it."""

    device: torch.device
    bf16: bool

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Return the context for forward passes."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)


def choose(name: DeviceName) -> Compute:
    """Return the device of a name; `auto` is CUDA if there is a GPU, else the CPU.

    bfloat16 is used only if the hardware multiplies it.

    A processor without AMX or AVX512-BF16 emulates bf16 about a hundred times slower than fp32.
    """
    if name == "cuda" or (name == "auto" and torch.cuda.is_available()):
        return Compute(
            torch.device("cuda"), torch.cuda.is_bf16_supported(including_emulation=False)
        )
    if name == "mps":
        return Compute(torch.device("mps"), bf16=False)
    return Compute(torch.device("cpu"), bf16=_cpu_multiplies_bf16())


def _cpu_multiplies_bf16() -> bool:
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    # PyTorch has no public name for this check.
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001
