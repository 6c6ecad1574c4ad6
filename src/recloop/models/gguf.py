"""From a quantised GGUF file to a folder that can be trained from: float32 safetensors, tokenizer."""

import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def unpack(source: Path, target: Path) -> None:
    """Write the model of a GGUF file into the folder `target`, which appears when it is complete."""
    where, file = source.parent, source.name
    loaded = AutoModelForCausalLM.from_pretrained(where, gguf_file=file, dtype=torch.float32)
    # Transformers refuses to save what its config calls quantised: the same weights, in a new model.
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
