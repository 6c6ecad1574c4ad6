"""A ranker from training to serving, on a tiny model with random weights."""

import json
import subprocess
import sys
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from recloop import columns as c
from recloop.data.live_items import LiveItem
from recloop.data.user_sequences import sequences_from_rows
from recloop.evaluation.evaluation_requests import Requests
from recloop.recommender.history import UserHistory
from recloop.recommender.live_catalogue import LiveCatalogue
from recloop.recommender.recommender import Recommender
from recloop.recommender.request import Request
from recloop.registry.model_config import PackagedRankerConfig
from recloop.registry.payload import Payload
from recloop.scoring.onnx_session import open_session
from recloop.scoring.ranker.onnx_ranker import OnnxRanker
from recloop.stages import files
from recloop.stages import ranker as stage
from recloop.training.base_models import resolve_base
from recloop.training.blending.ranker_weight import tune_ranker_weight
from recloop.training.device import Compute
from recloop.training.export.ranker_export import export_ranker
from recloop.training.finetuning.training_requests import sample_training_requests, top_candidates
from recloop.training.modules.cross_encoder import RankerConfig
from recloop.training.ranker import Ranker
from tests.support import tiny_model

CARD = PackagedRankerConfig(weight=100.0, depth=3, history_length=2, max_tokens=24)


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> tuple[bytes, str]:
    torch.manual_seed(0)
    base = str(tmp_path_factory.mktemp("base"))
    shape: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    shape |= {"num_attention_heads": 2, "vocab_size": 30522, "initializer_range": 0.3}
    BertForSequenceClassification(BertConfig(**shape | {"num_labels": 1})).save_pretrained(base)
    AutoTokenizer.from_pretrained(resolve_base("minilm")).save_pretrained(base)
    # A seed of the head whose logits are further apart than what int8 rounds.
    config = RankerConfig(base=base, history_length=2, max_tokens=24, seed=4)
    ranker = Ranker(config, Compute(torch.device("cpu"), bf16=False))
    return export_ranker(ranker.model), ranker.model.tokenizer_json()


@pytest.fixture(scope="module")
def folder(exported, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_model.payload().with_ranker(CARD, *exported).save(folder)
    return folder


@pytest.fixture(scope="module")
def recommender(folder) -> Recommender:
    return Payload.load(folder).recommender()


def ranker_of(exported: tuple[bytes, str]) -> OnnxRanker:
    model, words = exported
    return OnnxRanker(open_session(model), Tokenizer.from_str(words), 2, 24)


def test_the_packaged_ranker_reorders_the_first_items(exported, recommender) -> None:
    state = UserHistory.empty().updated_with([("north1", "click", 0.0)], recommender.catalogue)
    plain = Payload.recommender(tiny_model.payload()).recommend(Request(state))
    led = recommender.recommend(Request(state))
    first = [item.item_id for item in plain[:3]]
    logits = ranker_of(exported).logits(["Film north1"], None, [f"Film {item}" for item in first])
    expected = [first[place] for place in np.argsort(-logits)]
    assert [item.item_id for item in led] == expected + [item.item_id for item in plain[3:]]
    assert expected != first  # or this would show nothing
    offline, _ = recommender.rank([Request(state)])
    assert [recommender.catalogue.ids[row] for row in offline[0] if row >= 0] == [
        item.item_id for item in led
    ]


def test_serving_a_ranker_needs_no_torch(folder) -> None:
    code = f"""
import sys
from pathlib import Path
from recloop.recommender.request import Request
from recloop.recommender.history import UserHistory
from recloop.registry.payload import Payload
recommender = Payload.load(Path({str(folder)!r})).recommender()
assert len(recommender.recommend(Request(UserHistory.empty()))) == 5
assert not {{"torch", "transformers"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_model_without_a_ranker_is_packaged(tmp_path) -> None:
    tiny_model.payload().save(tmp_path)
    assert not list(tmp_path.glob("ranker*"))
    assert Payload.load(tmp_path).recommender().reranker is None


def test_the_ranker_reads_the_texts_of_live_items(recommender) -> None:
    overlay = LiveCatalogue.from_recommender(recommender)
    changed = [LiveItem("new", "A new film", text="of the sea"), LiveItem("both", "Another title")]
    overlay = overlay.with_changes(changed, 2)
    overlay = overlay.with_encoded(dict(overlay.encode_pending()))
    assert overlay.recommender.reranker is not None
    words = overlay.recommender.reranker.item_texts
    assert words[overlay.recommender.catalogue.rows(["new"])[0]] == (
        "A new film",
        "A new film. of the sea",
    )
    assert words[tiny_model.IDS.index("both")] == ("Another title", "Another title")
    assert recommender.reranker.item_texts[tiny_model.IDS.index("both")][0] == "Film both"


def test_the_rankers_weight_maximises_the_validation_metric(exported, recommender) -> None:
    ranker = ranker_of(exported)
    titles = recommender.catalogue.items[c.TITLE].to_list()
    history = np.array([2])
    nothing = Requests([history], [np.array([4])])
    lists = top_candidates(recommender.blend.channels["popularity"], nothing, [history], 5, 3)
    logits = ranker.logits([titles[2]], None, [titles[row] for row in lists[0]])
    wanted = lists[0][logits.argmax()]
    valid = Requests([history] * 2, [np.array([wanted])] * 2)
    tuned = tune_ranker_weight(ranker, recommender.blend, valid, titles, titles, 4)
    assert wanted != lists[0][0]  # the ranker has something to gain
    assert tuned.weight > 0
    assert tuned.after > tuned.before
    empty = tune_ranker_weight(ranker, recommender.blend, Requests([], []), titles, titles, 4)
    assert asdict(empty) == {"weight": 0.0, "before": 0.0, "after": 0.0}


def test_ranker_requests_are_next_steps_without_later_events() -> None:
    walks = sequences_from_rows([np.arange(8), np.arange(3)])
    requests, others = sample_training_requests(walks, 10, seed=1)
    assert len(requests.histories) == 3  # of the first; the other is too short
    for history, relevant, other in zip(requests.histories, requests.relevant, others, strict=True):
        assert history.tolist() == list(range(relevant[0]))
        assert len(history) >= 5
        assert sorted([*other, *relevant]) == list(range(8))
    assert len(sample_training_requests(walks, 2, seed=1)[0].histories) == 2


def test_a_disabled_ranker_is_not_trained(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.joinpath("params.yaml").write_text("ranker: {enabled: false}")
    stage.main()
    assert json.loads(files.RANKER_INFO.read_text()) == {"enabled": False}
    assert [path.name for path in files.RANKER.iterdir()] == ["ranker.json"]
