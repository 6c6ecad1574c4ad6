"""Checkpoints on disk: safetensors and a small JSON file, nothing pickled."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from recloop.data.catalogue import Rows
from recloop.training.finetuning.sequence_model import SequenceModel
from recloop.training.modules.peft_methods import trainable_weights
from recloop.training.modules.text_encoder import TextEncoder
from recloop.training.modules.tower import ItemVectors, TowerConfig, UserTower

_TEXT = "text_vectors"
# Name of the mask of warm items in the file.
_WARM = "known"
_ROWS = "rows"


def save_sequence_model(path: Path, model: SequenceModel, text: Tensor, rows: Rows) -> None:
    """Write one file: both modules, and each item's warm flag, text vector and row.

    Args:
        path: The file to write.
        model: The trained modules.
        text: Text vectors of the model's items, `(items of the model, width)`.
        rows: The catalogue's rows of the model's items, `(items of the model,)`.
    """
    tensors = {f"items.{name}": value for name, value in model.items.state_dict().items()}
    tensors |= {f"tower.{name}": value for name, value in model.tower.state_dict().items()}
    tensors |= {_TEXT: text, _WARM: model.warm, _ROWS: torch.from_numpy(rows)}
    save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, path)


def load_sequence_model(path: Path, config: TowerConfig) -> tuple[SequenceModel, Tensor, Rows]:
    """Load what `save_sequence_model` wrote, on the CPU.

    Returns:
        The model, text vectors `(items of the model, width)` and rows `(items of the model,)`.
    """
    tensors = load_file(path)
    text, warm, rows = (tensors.pop(name) for name in (_TEXT, _WARM, _ROWS))
    items = ItemVectors(len(text), text.shape[1], config)
    tower = UserTower(config)
    for prefix, module in (("items.", items), ("tower.", tower)):
        own = {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}
        module.load_state_dict(own)
    return SequenceModel(items.eval(), tower.eval(), warm), text, rows.numpy()


def save_encoder(path: Path, encoder: TextEncoder) -> None:
    """Write the tuned weights of the encoder; those of the base model are not written."""
    tuned = trainable_weights(encoder)
    save_file({name: value.cpu().contiguous() for name, value in tuned.items()}, path)


def load_encoder_weights(path: Path, encoder: TextEncoder) -> None:
    """Put what `save_encoder` wrote into an encoder built from the same settings.

    Raises:
        ValueError: The file has other weights than this encoder's method of tuning trains.
    """
    stored, own = load_file(path), trainable_weights(encoder)
    shapes = [{name: value.shape for name, value in part.items()} for part in (stored, own)]
    if shapes[0] != shapes[1]:
        unlike = sorted(name for name, _ in shapes[0].items() ^ shapes[1].items())
        raise ValueError(f"{path} does not fit the encoder: {unlike[:3]}")
    encoder.load_state_dict(stored, strict=False)


def tuned_change(
    encoder: TextEncoder, texts_before: Tensor, texts_after: Tensor
) -> dict[str, float]:
    """Measure how far training changed the language model.

    Args:
        encoder: The tuned text encoder.
        texts_before: Text vectors before training, `(texts, width)`.
        texts_after: Text vectors after training, `(texts, width)`.

    Returns:
        Number of tuned parameters, and mean cosine between the vectors before and after.
    """
    cosine = torch.nn.functional.cosine_similarity(texts_before, texts_after).mean()
    tuned = sum(value.numel() for value in trainable_weights(encoder).values())
    return {"tuned_parameters": float(tuned), "mean_cosine_to_base": float(cosine)}
