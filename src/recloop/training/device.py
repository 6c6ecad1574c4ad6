"""Device and precision of training."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

DeviceName = Literal["auto", "cpu", "cuda", "mps"]

# Longest sequences whose attention is computed by plain matrix products on a CPU. The attention
# weights, which are quadratic in the length, are small up to here.
_PLAIN_ATTENTION_LENGTH = 128


@dataclass(frozen=True)
class Compute:
    """Device, and whether matrix products run in bfloat16 on it."""

    device: torch.device
    bf16: bool

    @contextmanager
    def forward(self, length: int) -> Iterator[None]:
        """Set the precision and the attention kernel of the forward passes in this context.

        On a CPU, attention over short sequences is faster with plain matrix products: a training
        step takes 0.8 of the time. The backward pass of the flash kernel also allocates memory in
        every thread; if glibc lets the threads share an arena, a step takes 1.4 of the time.

        Args:
            length: Largest number of steps or tokens of a sequence.
        """
        with ExitStack() as contexts:
            contexts.enter_context(
                torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)
            )
            if self.device.type == "cpu" and length <= _PLAIN_ATTENTION_LENGTH:
                contexts.enter_context(sdpa_kernel(SDPBackend.MATH))
            yield


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
