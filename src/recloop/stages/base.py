"""Base language model of the stages: that of continued pretraining, else that of the settings."""

from recloop.stages import files
from recloop.training.base_models import TextConfig, resolve_base


def current_base(config: TextConfig) -> str:
    """Return the base model: a local folder or a Hugging Face id."""
    if files.BASE.joinpath("config.json").exists():
        return str(files.BASE)
    return resolve_base(config.base)
