"""Tests of the ranker on tiny models with random weights."""

import dataclasses
import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

from recloop.evaluation.evaluation_requests import Requests
from recloop.scoring.onnx_session import open_session
from recloop.scoring.ranker.onnx_ranker import OnnxRanker
from recloop.scoring.ranker.packing import QUESTION, behaviour_text
from recloop.scoring.ranker.weighting import mixed_scores, rerank, tune_weight
from recloop.training.base_models import resolve_base
from recloop.training.device import Compute
from recloop.training.export.onnx_export import quantise
from recloop.training.export.ranker_export import export_float32_ranker, export_ranker
from recloop.training.finetuning.ranker_examples import RankerExamples, make_examples
from recloop.training.modules.cross_encoder import RankerConfig
from recloop.training.ranker import Ranker
from tests.support import tiny_language_model
from tests.support.int8 import assert_exact_in_16_bits

CPU = Compute(torch.device("cpu"), bf16=False)
KINDS, ANSWERS = ("horror", "comedy"), ("Yes", "No")
TITLES = [f"{kind} {n}" for n in range(8) for kind in KINDS]
LONG = "horror " * 99


@pytest.fixture(scope="module")
def bases(tmp_path_factory) -> dict[str, str]:
    """Write a tiny BERT and a tiny Llama with MiniLM's tokenizer, and return their folders."""
    torch.manual_seed(0)
    words = AutoTokenizer.from_pretrained(resolve_base("minilm"))
    shape: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    shape |= {"num_attention_heads": 2, "vocab_size": 30522, "initializer_range": 0.1}
    models = {
        "classification": BertForSequenceClassification(BertConfig(**shape | {"num_labels": 2})),
        "yes-no": LlamaForCausalLM(LlamaConfig(**shape, num_key_value_heads=1)),
    }
    folders = {}
    for form, model in models.items():
        folders[form] = str(tmp_path_factory.mktemp(form))
        model.save_pretrained(folders[form])
        words.save_pretrained(folders[form])
    return folders


def decoder(kind: str, folder: Path) -> str:
    """A tiny decoder with MiniLM's tokenizer, which gets a start token for GPT-2 and no padding."""
    torch.manual_seed(0)
    words = AutoTokenizer.from_pretrained(resolve_base("minilm"))
    words.pad_token = None
    if kind == "gpt2":
        words.add_special_tokens({"bos_token": "[CLS]"})
        shape: dict[str, Any] = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 256}
        model: PreTrainedModel = GPT2LMHeadModel(
            GPT2Config(**shape, vocab_size=30522, initializer_range=0.1)
        )
    else:
        shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
        shape |= {"num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 30522}
        model = LlamaForCausalLM(LlamaConfig(**shape, initializer_range=0.1))
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return str(folder)


def config(bases, form, **changes) -> RankerConfig:
    settings = {"max_tokens": 64 if form == "yes-no" else 24, "learning_rate": 1e-2}
    settings |= {
        "history_length": 2,
        "epochs": 12,
        "batch": 16,
        "validate_every": 20,
        "validation_share": 0.2,
    }
    return RankerConfig(base=bases[form], form=form, **(settings | changes))


def words_of(text: str) -> str:
    return "".join(text.lower().split())


def examples() -> RankerExamples:
    """Return examples in which users who saw two films of a kind want comedy and no horror."""
    pairs = [pair for kind in (0, 1) for pair in itertools.combinations(TITLES[kind::2], 2)]
    return RankerExamples(
        [behaviour_text(pair, None, 2) for pair in pairs for _ in KINDS],
        [kind for _ in pairs for kind in KINDS],
        np.tile(np.array([0, 1], np.float32), len(pairs)),
        np.repeat(np.arange(len(pairs)), len(KINDS)),
    )


@pytest.mark.slow
def test_it_reads_both_texts_together(bases) -> None:
    """Users who saw two films of a kind want that kind: neither text alone tells anything."""
    made = examples()
    same = [b.startswith(c) for b, c in zip(made.behaviours, made.candidates, strict=True)]
    made = dataclasses.replace(made, labels=np.array(same, np.float32))
    ranker = Ranker(config(bases, "classification", epochs=60, learning_rate=3e-3), CPU)
    ranker.fit(made)
    assert ranker.evaluate(made)["auc"] > 0.95


def test_one_request_is_too_few_for_validation(bases) -> None:
    with pytest.raises(ValueError, match="1 requests are too few"):
        Ranker(config(bases, "classification"), CPU).fit(examples().take(np.array([0])))


@pytest.mark.parametrize("form", ["classification", "yes-no"])
@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_fit_learns_an_obvious_pattern_and_comes_back_from_disk(
    bases, form, tuning, tmp_path
) -> None:
    rate = {"full": 1e-2, "lora": 3e-2}[tuning]
    settings = config(bases, form, tuning=tuning, learning_rate=rate)
    ranker = Ranker(settings, CPU)
    before = ranker.evaluate(examples())
    validations = ranker.fit(examples())
    after = ranker.evaluate(examples())
    assert after["log_loss"] < before["log_loss"] / 2
    assert after["auc"] > 0.95
    # The loss of one batch is noisy at these rates: a later one is lower, not always the last.
    assert min(entry["loss"] for entry in validations) < validations[0]["loss"]
    likely = ranker.predict(["horror 1", "horror 2"], None, ["horror", "comedy"])
    assert likely[1] > 0.5 > likely[0]

    ranker.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ranker.json", "ranker.safetensors"]
    again = Ranker.load(tmp_path, CPU)
    assert again.config == settings
    same = again.predict(["horror 1", "horror 2"], None, ["horror", "comedy"])
    np.testing.assert_array_equal(same, likely)


def test_weights_of_another_tuning_are_refused(bases, tmp_path) -> None:
    settings = config(bases, "classification", tuning="lora")
    Ranker(settings, CPU).save(tmp_path)
    other = settings.model_copy(update={"tuning": "full"})
    tmp_path.joinpath("ranker.json").write_text(other.model_dump_json(), encoding="utf-8")
    with pytest.raises(ValueError, match="do not fit"):
        Ranker.load(tmp_path, CPU)


def test_padding_changes_no_logit(bases) -> None:
    for form in bases:
        ranker = Ranker(config(bases, form), CPU)
        together = ranker.logits(["horror 1", " ; ".join(TITLES[:3])], ["comedy 1", "horror"])
        alone = ranker.logits(["horror 1"], ["comedy 1"])
        assert together[0] == pytest.approx(alone[0], abs=1e-5)


@pytest.fixture(scope="module")
def rankers(bases) -> dict[str, Ranker]:
    return {form: Ranker(config(bases, form), CPU) for form in bases}


@given(st.sampled_from(["classification", "yes-no"]), st.lists(st.sampled_from(TITLES), min_size=1))
def test_a_logit_does_not_depend_on_the_other_candidates(rankers, form, candidates) -> None:
    ranker = rankers[form]
    together = ranker.logits([LONG] * len(candidates), candidates)
    for candidate, logit in zip(candidates, together, strict=True):
        assert ranker.logits([LONG], [candidate])[0] == pytest.approx(logit, abs=1e-5)


def test_the_behaviour_is_read_once(rankers) -> None:
    for ranker in rankers.values():
        alone, both = (ranker.model.batch(["horror"] * n, TITLES[:n], CPU.device) for n in (1, 2))
        added = both.tokens.shape[1] - alone.tokens.shape[1]
        assert both.tokens.shape[0] == 1
        assert added == (both.segments == 2).sum() < alone.tokens.shape[1]


def test_a_decoder_gives_the_logits_of_the_plain_prompt(bases, rankers) -> None:
    """A decoder reads from left to right, so the shared behaviour means the same in each prompt."""
    plain = LlamaForCausalLM.from_pretrained(bases["yes-no"]).eval()
    model = rankers["yes-no"].model
    yes, no = (
        model.tokenizer.encode(f" {word}", add_special_tokens=False).ids[0] for word in ANSWERS
    )
    prompt = f"Behaviour, newest first: horror 1\nCandidate: comedy{QUESTION}"
    prompt_ids = model.tokenizer.encode(prompt, add_special_tokens=False).ids
    with torch.inference_mode():
        vocabulary_logits = plain(torch.tensor([prompt_ids])).logits[0, -1]
    logit = rankers["yes-no"].logits(["horror 1"] * 2, ["horror", "comedy"])[1]
    assert logit == pytest.approx((vocabulary_logits[yes] - vocabulary_logits[no]).item(), abs=1e-5)


def test_an_encoder_reads_one_candidate_as_the_tokenizer_packs_it(bases, rankers) -> None:
    """Without a behaviour, the packed sequence is the tokenizer's own pair."""
    ranker = rankers["classification"]
    read = ranker.model.batch([""], ["comedy 1"], CPU.device)
    assert read.tokens.tolist()[0] == ranker.model.tokenizer.encode("", "comedy 1").ids
    assert read.position_ids.tolist()[0] == list(range(read.tokens.shape[1]))


def test_a_decoder_is_refused_as_a_classifier(tmp_path) -> None:
    with pytest.raises(ValueError, match="yes-no"):
        Ranker(RankerConfig(base=str(tiny_language_model.decoder_type(tmp_path))), CPU)


def test_a_long_behaviour_leaves_candidate_and_question_whole(bases) -> None:
    for form in bases:
        model = Ranker(config(bases, form), CPU).model
        offered = ["funny " * 99, "one", "two"]
        wordy, brief = (model.batch([text] * 3, offered, CPU.device) for text in (LONG, "horror"))
        assert wordy.position_ids[0, wordy.pool_positions[0]] == model.config.max_tokens - 1
        candidates = [wordy.tokens[wordy.segments == n].tolist() for n in (1, 2, 3)]
        assert candidates == [brief.tokens[brief.segments == n].tolist() for n in (1, 2, 3)]
        question = QUESTION if form == "yes-no" else ""
        for text, tokens in zip(offered[1:], candidates[1:], strict=True):
            assert words_of(model.tokenizer.decode(tokens)).endswith(words_of(text + question))
    with pytest.raises(ValueError, match="max_tokens"):
        Ranker(config(bases, "yes-no", max_tokens=16), CPU)


def test_time_and_patience_end_training(bases) -> None:
    ticks = itertools.count()
    ranker = Ranker(config(bases, "classification", max_seconds=5), CPU)
    assert ranker.fit(examples(), clock=lambda: float(next(ticks)))[-1]["step"] < 10
    stuck = Ranker(
        config(bases, "classification", learning_rate=0, patience=2, validate_every=1), CPU
    )
    assert len(stuck.fit(examples())) == 3


def test_an_early_stop_brings_the_best_back(bases) -> None:
    ranker = Ranker(config(bases, "classification", validate_every=5, patience=100), CPU)
    validations = ranker.fit(examples())
    _, held = examples().hold_out(0.2, np.random.default_rng(42))
    best = min(entry["log_loss"] for entry in validations)
    assert ranker.evaluate(held)["log_loss"] == pytest.approx(best, rel=1e-5)


def test_auc_counts_ties_half_and_log_loss_is_its_formula(bases, monkeypatch) -> None:
    ranker = Ranker(config(bases, "classification"), CPU)
    logits = np.array([2.0, 0.0, 0.0, -1.0], np.float32)
    monkeypatch.setattr(ranker, "logits", lambda *_: logits)
    labels = np.array([1, 1, 0, 0], np.float32)
    found = ranker.evaluate(RankerExamples([""] * 4, [""] * 4, labels, np.arange(4)))
    probabilities = 1 / (1 + np.exp(-logits))
    expected = -np.log(np.where(labels > 0, probabilities, 1 - probabilities)).mean()
    assert found == {"log_loss": pytest.approx(expected), "auc": pytest.approx(3.5 / 4)}


@pytest.mark.slow
def test_what_is_served_agrees_with_torch(bases) -> None:
    ranker = Ranker(config(bases, "classification", tuning="lora"), CPU)
    ranker.fit(examples())
    words = Tokenizer.from_file(f"{bases['classification']}/tokenizer.json")
    model = export_ranker(ranker.model)
    assert_exact_in_16_bits(model)
    served = OnnxRanker(open_session(model), words, 2, 24)
    for query in (None, "something funny"):
        ours = ranker.predict(TITLES[:5], query, TITLES)
        np.testing.assert_allclose(served.predict(TITLES[:5], query, TITLES), ours, atol=0.03)
    assert served.predict(["horror 1"], None, []).shape == (0,)


def served_decoder(ranker: Ranker, model: bytes) -> OnnxRanker:
    words = Tokenizer.from_str(ranker.model.tokenizer_json())
    settings = ranker.config
    return OnnxRanker(
        open_session(model),
        words,
        settings.history_length,
        settings.max_tokens,
        settings.form,
        ranker.model.start_tokens,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "tuning", "start_tokens"), [("llama", "lora", 0), ("gpt2", "full", 1)]
)
def test_an_exported_decoder_agrees_with_torch(kind, tuning, start_tokens, tmp_path) -> None:
    """Rotary and learned positions, with and without a start token and a token for padding."""
    base = decoder(kind, tmp_path)
    settings = RankerConfig(base=base, form="yes-no", max_tokens=96, tuning=tuning)
    ranker = Ranker(settings, CPU)
    assert len(ranker.model.start_tokens) == start_tokens
    full = export_float32_ranker(ranker.model)
    served = served_decoder(ranker, full)
    for behaviour, query in ((TITLES[:5], None), (["horror 1"], "something funny"), ([], None)):
        ours = ranker.predict(behaviour, query, TITLES)
        np.testing.assert_allclose(served.predict(behaviour, query, TITLES), ours, atol=1e-5)
    # Behaviours of different lengths in one batch: the shorter sequence is padded.
    batch = ranker.model.batch(["horror 1", LONG, LONG], ["a", "b", "comedy 2"], CPU.device)
    assert (batch.segments == -1).any()
    inputs = {name: values.numpy() for name, values in batch._asdict().items()}
    (logits,) = open_session(full).run(None, inputs)
    expected = ranker.logits(["horror 1", LONG, LONG], ["a", "b", "comedy 2"])
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    small = quantise(full)
    assert_exact_in_16_bits(small)
    quantised = served_decoder(ranker, small).predict(TITLES[:5], None, TITLES)
    np.testing.assert_allclose(quantised, ranker.predict(TITLES[:5], None, TITLES), atol=0.03)


def test_serving_the_ranker_needs_no_torch() -> None:
    code = (
        "import sys, recloop.scoring.ranker.onnx_ranker as _, recloop.scoring.ranker.weighting as _"
    )
    code += "; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_behaviour_is_the_query_and_then_the_newest_first() -> None:
    assert behaviour_text(["a", "b", "c"], None, 2) == "c ; b"
    assert behaviour_text(["a"], "funny", 2) == "funny | a"
    assert behaviour_text(["a"], None, 0) == behaviour_text([], None, 2) == ""


def test_examples_are_relevant_items_with_hard_and_random_negatives() -> None:
    requests = Requests([np.array([0, 1])], [np.array([2])])
    settings = RankerConfig(history_length=1, hard_negatives=5, random_negatives=3)
    made = make_examples(requests, TITLES, TITLES, np.array([[2, 4, 1, 6, -1]]), settings)
    assert made.behaviours == ["comedy 0"] * len(made)
    assert made.labels.tolist() == [1] + [0] * (len(made) - 1)
    assert made.candidates[0] == TITLES[2]
    assert {TITLES[4], TITLES[6]} <= set(made.candidates[1:])
    assert not {TITLES[0], TITLES[1], TITLES[2]} & set(made.candidates[1:])


RANKED = np.array([[7, 3, 5], [1, 2, -1]])
SCORES = np.array([[3, 2, 1], [2, 1, -np.inf]], np.float32)


def test_the_ranker_reorders_by_standardised_score_and_logit() -> None:
    logits = np.array([[0, 0, 9], [0, 5, 0]], np.float32)
    ranked, mixed = rerank(RANKED, SCORES, logits, 1.0)
    third = mixed_scores(RANKED, SCORES, logits, 1.0)[0, 2]
    assert third == pytest.approx(-np.sqrt(1.5) + np.sqrt(2), abs=1e-5)
    assert ranked.tolist() == [[7, 5, 3], [1, 2, -1]]  # a draw keeps its order: 1 - 1 = 0
    assert mixed[1, 2] == -np.inf


@given(st.lists(st.floats(-50, 50, width=32), min_size=6, max_size=6), st.floats(0, 5))
def test_reranking_shows_the_same_items(logits, weight) -> None:
    given_logits = np.array(logits, np.float32).reshape(2, 3)
    ranked, _ = rerank(RANKED, SCORES, given_logits, weight)
    assert np.sort(ranked).tolist() == np.sort(RANKED).tolist()
    assert ranked[1, 2] == -1
    assert rerank(RANKED, SCORES, given_logits, 0.0)[0].tolist() == RANKED.tolist()


def test_the_weight_is_zero_unless_validation_gains() -> None:
    logits = np.array([[0, 0, 9], [0, 0, 0]], np.float32)
    assert tune_weight(RANKED, SCORES, logits, lambda ranked: float(ranked[0, 0] == 5))[0] > 0
    assert tune_weight(RANKED, SCORES, logits, lambda _: 1.0) == (0.0, 1.0)
