"""Tests of continued pretraining on both types of base."""

import json

import polars as pl
import pytest
import torch
from transformers import AutoModelForCausalLM

from recloop.stages import files
from recloop.stages import pretrain as stage
from recloop.stages.checkpoint import current_base
from recloop.training.base_models import TextConfig
from recloop.training.device import Compute
from recloop.training.finetuning.pretraining import PretrainConfig, pretrain
from recloop.training.modules.text_encoder import TokenizedTexts, encode_all, load_encoder
from tests.support import tiny_language_model, tiny_model
from tests.support.tiny_language_model import TITLES

CPU = Compute(torch.device("cpu"), bf16=False)
BASES = {"masked": tiny_language_model.encoder_type, "causal": tiny_language_model.decoder_type}
CONFIG = PretrainConfig(epochs=8, batch=4, learning_rate=1e-2, mask_share=0.3, max_tokens=8)


def vectors(folder: str) -> torch.Tensor:
    config = TextConfig(tuning="frozen")
    encoder, tokenizer = load_encoder(folder, config)
    return encode_all(encoder.eval(), TokenizedTexts(TITLES, tokenizer, config), CPU)


@pytest.mark.parametrize("kind", BASES)
def test_it_lowers_the_held_out_loss_and_leaves_a_base(kind, tmp_path) -> None:
    base = BASES[kind](tmp_path / "base")
    seen: list[dict[str, float]] = []
    texts = TITLES * 4
    report = pretrain(base, texts, tmp_path / "first", CONFIG, CPU, seen.append)
    loss = report["held_out_loss"]
    assert loss["after"] < loss["before"] - 0.5
    assert (report["objective"], report["new_head"]) == (kind, True)
    assert (report["texts"], report["held_out"], len(seen)) == (48, 5, 8)
    assert json.loads(json.dumps(report)) == report
    assert not torch.allclose(vectors(str(base)), vectors(str(tmp_path / "first")), atol=1e-2)

    # Once more from there: the head is found, and it is as good as it was.
    again = pretrain(tmp_path / "first", texts, tmp_path / "second", CONFIG, CPU)
    assert not again["new_head"]
    assert again["held_out_loss"]["before"] == pytest.approx(loss["after"], rel=1e-4)


def test_a_decoder_that_has_a_head_keeps_it(tmp_path) -> None:
    base = tiny_language_model.decoder_type(tmp_path / "base")
    AutoModelForCausalLM.from_pretrained(base).save_pretrained(base)  # its head is its own
    report = pretrain(base, TITLES, tmp_path / "out", CONFIG, CPU)
    assert not report["new_head"]
    assert not AutoModelForCausalLM.from_pretrained(tmp_path / "out").config.tie_word_embeddings


def test_too_few_texts_are_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match="two texts"):
        pretrain(tmp_path, ["one"], tmp_path / "out", CONFIG, CPU)


@pytest.mark.parametrize("epochs", [0, 1])
def test_the_stage_leaves_a_base_only_where_it_is_asked_to(epochs, tmp_path, monkeypatch) -> None:
    base = tiny_language_model.encoder_type(tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    train = f"train: {{device: cpu, text: {{base: {base}}}}}"
    tmp_path.joinpath("params.yaml").write_text(f"pretrain: {{epochs: {epochs}}}\n{train}\n")
    files.SNAPSHOT.mkdir(parents=True)
    pl.DataFrame(tiny_model.items()).write_parquet(files.ITEMS)
    stage.main()
    assert files.read_json(files.PRETRAINING)["epochs"] == epochs
    expected = str(files.BASE) if epochs else str(base)
    assert current_base(TextConfig(base=str(base))) == expected
