"""Tests of the choice of device, precision and attention kernel."""

import platform
import re
from pathlib import Path

import pytest
import torch

from recloop.training.device import Compute, choose

CPU = Compute(torch.device("cpu"), bf16=False)


@pytest.mark.skipif(
    platform.machine() != "x86_64" or not Path("/proc/cpuinfo").exists(),
    reason="needs Linux on x86-64, where /proc/cpuinfo lists what the processor can do",
)
def test_bf16_is_used_on_processors_that_have_avx512_or_bf16_conversion() -> None:
    (flags, *_) = re.findall(r"^flags\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    able = {"avx512bw", "avx512dq", "avx512vl"} <= set(flags.split()) or "avx_ne_convert" in flags
    assert choose("cpu") == Compute(torch.device("cpu"), bf16=able)


@pytest.mark.parametrize(("length", "flash"), [(128, False), (129, True)])
def test_attention_over_short_sequences_uses_plain_products_on_a_cpu(
    length: int, flash: bool
) -> None:
    with CPU.forward(length):
        assert torch.backends.cuda.flash_sdp_enabled() is flash
    assert torch.backends.cuda.flash_sdp_enabled()


def test_auto_is_the_gpu_if_there_is_one() -> None:
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert choose("auto").device.type == expected
