"""Reading of the models that the stages `pretrain` and `train` write."""

from torch import Tensor

from recloop.data.catalogue import Rows
from recloop.stages import files
from recloop.training import checkpoint
from recloop.training.base_models import TextConfig, resolve_base
from recloop.training.finetuning.fit import TrainingHistory
from recloop.training.finetuning.sequence_model import SequenceModel, TrainConfig
from recloop.training.trained_sequence import Language, TrainedSequence


def current_base(config: TextConfig) -> str:
    """Return the base language model: a local folder or a Hugging Face id.

    It is the model of continued pretraining if there is one, and else that of the settings.
    """
    if files.BASE.joinpath("config.json").exists():
        return str(files.BASE)
    return resolve_base(config.base)


def read_settings() -> TrainConfig:
    """Return the settings of training, including those derived from the data."""
    path = files.CHECKPOINT / files.SETTINGS
    return TrainConfig.model_validate_json(path.read_bytes())


def read_tuned(config: TrainConfig) -> tuple[SequenceModel, Tensor, Rows]:
    """Return the sequence model that was trained without validation data.

    Returns:
        The model, the text vectors of its items, `(items, dim)` float32, and their catalogue rows,
        `(items,)` int64.
    """
    return checkpoint.load_sequence_model(files.CHECKPOINT / files.TUNED, config.tower)


def read_language(config: TrainConfig) -> Language:
    """Return the language model with its tuned weights, if it was tuned."""
    language = Language.load(current_base(config.text), config.text, config.seed)
    encoder = files.CHECKPOINT / files.ENCODER
    if encoder.exists():
        checkpoint.load_encoder_weights(encoder, language.encoder)
    return language


def read_checkpoint() -> TrainedSequence:
    """Return the trained models without the history of epochs, which is only in the reports."""
    config = read_settings()
    tuned, text, rows = read_tuned(config)
    final, _, _ = checkpoint.load_sequence_model(files.CHECKPOINT / files.FINAL, config.tower)
    language = read_language(config)
    return TrainedSequence(rows, config, tuned, final, text, TrainingHistory(), language, {})
