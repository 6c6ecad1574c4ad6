"""Conversion of quantised GGUF files to float32 safetensors, from which training can start."""

import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def unpack_gguf(source: Path, target: Path) -> None:
    """Write model and tokenizer of a GGUF file into a folder, which appears once it is complete.

    Args:
        source: The GGUF file.
        target: The folder.
    """
    where, file = source.parent, source.name
    loaded = AutoModelForCausalLM.from_pretrained(where, gguf_file=file, dtype=torch.float32)
    # Transformers refuses to save a model whose config says quantised, so the weights are copied
    # into a new model.
    config = type(loaded.config).from_dict(
        {k: v for k, v in loaded.config.to_dict().items() if k != "quantization_config"}
    )
    plain = type(loaded)(config)
    plain.load_state_dict(loaded.state_dict())
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        folder = Path(scratch, "model")
        plain.save_pretrained(folder)
        AutoTokenizer.from_pretrained(where, gguf_file=file).save_pretrained(folder)
        folder.rename(target)
