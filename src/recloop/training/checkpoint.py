"""Training's result on disk: safetensors and a small JSON, nothing pickled."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from recloop.models.text import TextEncoder
from recloop.models.tower import ItemVectors, TowerConfig, UserTower
from recloop.models.tuning import tuned_weights
from recloop.training.sequence import SequenceModel

_TEXT = "text_vectors"
_KNOWN = "known"


def save_sequence_model(path: Path, model: SequenceModel, text: Tensor) -> None:
    """One file with both modules, the text vectors and the known items."""
    tensors = {f"items.{name}": value for name, value in model.items.state_dict().items()}
    tensors |= {f"tower.{name}": value for name, value in model.tower.state_dict().items()}
    tensors |= {_TEXT: text, _KNOWN: model.known}
    save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, path)


def load_sequence_model(path: Path, config: TowerConfig) -> tuple[SequenceModel, Tensor]:
    """What `save_sequence_model` wrote, on the CPU: model and text vectors."""
    tensors = load_file(path)
    text, known = tensors.pop(_TEXT), tensors.pop(_KNOWN)
    items = ItemVectors(len(text), text.shape[1], config)
    tower = UserTower(config)
    for prefix, module in (("items.", items), ("tower.", tower)):
        own = {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}
        module.load_state_dict(own)
    return SequenceModel(items.eval(), tower.eval(), known), text


def save_encoder(path: Path, encoder: TextEncoder) -> None:
    """The tuned weights of the encoder alone; the base model stays where it is."""
    tuned = tuned_weights(encoder)
    save_file({name: value.cpu().contiguous() for name, value in tuned.items()}, path)


def load_encoder_weights(path: Path, encoder: TextEncoder) -> None:
    """Put what `save_encoder` wrote into an encoder built from the same settings.

    Raises:
        ValueError: the file's weights are not those that this encoder's way of tuning has.
    """
    stored, own = load_file(path), tuned_weights(encoder)
    shapes = [{name: value.shape for name, value in part.items()} for part in (stored, own)]
    if shapes[0] != shapes[1]:
        unlike = sorted(name for name, _ in shapes[0].items() ^ shapes[1].items())
        raise ValueError(f"{path} does not fit the encoder: {unlike[:3]}")
    encoder.load_state_dict(stored, strict=False)


def tuned_change(
    encoder: TextEncoder, texts_before: Tensor, texts_after: Tensor
) -> dict[str, float]:
    """How far training moved the language model: parameters tuned, and mean cosine of its vectors."""
    cosine = torch.nn.functional.cosine_similarity(texts_before, texts_after).mean()
    tuned = sum(value.numel() for value in tuned_weights(encoder).values())
    return {"tuned_parameters": float(tuned), "mean_cosine_to_base": float(cosine)}
