"""Which base the stages start from: the one that continued pretraining left, else the one named."""

from recloop.stages import files
from recloop.training.base_models import TextConfig, resolve_base


def current_base(config: TextConfig) -> str:
    """A local folder or a Hugging Face id."""
    if files.BASE.joinpath("config.json").exists():
        return str(files.BASE)
    return resolve_base(config.base)
