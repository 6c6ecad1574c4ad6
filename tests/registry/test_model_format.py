"""Tests of the format of packaged models: other formats are refused, and the loop goes on."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from safetensors.numpy import load_file, save_file

from benchmarks.versions.convert_model import convert, convert_config
from flows import monitor_tasks, retrain_tasks
from flows.results import ModelMetrics, PackagedModel
from flows.workspace import Workspace
from recloop.config import Home
from recloop.decisions import Interval, PromotionRules, RollbackRules, VersionClicks
from recloop.registry.manifest import FORMAT, MANIFEST, PAYLOAD, Lineage, ModelFormatError
from recloop.registry.model_config import CONFIG, read_model_config
from recloop.registry.payload import TENSORS, Payload
from recloop.registry.versions import Registry
from recloop.scoring.scorer import RequestBatch
from recloop.serving.app import create_app
from recloop.serving.engine import Engine
from recloop.store.event_store import EventStore

NEWER = FORMAT + 1
LINEAGE = Lineage(
    git_commit="",
    git_ref="",
    data_version="d",
    model_hash="m",
    validation={},
    metrics={},
    params={},
)
METRICS: dict[str, Any] = {
    "requests": 300,
    "models": {
        "recloop": {
            "ndcg@10": {"value": 0.2, "low": 0.19, "high": 0.21},
            "coverage@10": 0.5,
        },
        "popularity": {
            "ndcg@10": {"value": 0.1, "low": 0.09, "high": 0.11},
            "coverage@10": 0.1,
        },
    },
    "ahead_of": {"popularity": {"value": 0.1, "low": 0.08, "high": 0.12}},
}
PACKAGED = PackagedModel(version="v2", fresh=True, commit="c", data_version="d", bento="b")


@pytest.fixture
def registry(home: Home, payload: Payload, tmp_path: Path) -> Registry:
    """Return a registry with the champion v1 and the unpromoted v2 of another hash."""
    model, reference = tmp_path / "model", tmp_path / "reference"
    model.mkdir()
    reference.mkdir()
    payload.save(model)
    registry = Registry(home)
    registry.register("v1", model, reference, LINEAGE, checkpoint=reference)
    registry.register("v2", model, reference, LINEAGE.model_copy(update={"model_hash": "n"}))
    registry.promote("v1", [])
    return registry


def set_format(registry: Registry, version: str, number: int | None) -> None:
    """Write another format number into a manifest; None removes it, as in packages of format 1."""
    path = registry.path(version) / MANIFEST
    document = {**json.loads(path.read_bytes()), "format": number}
    path.write_text(json.dumps({k: v for k, v in document.items() if v is not None}))


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (None, rf"v1 has model format 1, .* reads format {FORMAT}: run a retrain"),
        (NEWER, rf"v1 has model format {NEWER}, .* reads format {FORMAT}: update recloop, or run"),
    ],
)
def test_another_format_is_neither_loaded_nor_promoted(registry, number, message) -> None:
    set_format(registry, "v1", number)
    for refused in (registry.load, registry.check, lambda v: registry.promote(v, [])):
        with pytest.raises(ModelFormatError, match=message):
            refused("v1")
    assert registry.versions() == ["v1", "v2"]
    assert registry.find("m") is None  # a retrain that makes the same model registers it anew
    assert registry.find("n") == "v2"


def test_a_model_of_format_3_is_read_without_a_words_channel(
    payload: Payload, tmp_path: Path
) -> None:
    payload.save(tmp_path)
    document = json.loads(tmp_path.joinpath(CONFIG).read_bytes())
    del document["words_decay"], document["weights"]["transform"]
    tmp_path.joinpath(CONFIG).write_text(json.dumps({**document, "format": 3}))
    tensors = load_file(tmp_path / TENSORS)
    kept = {name: own for name, own in tensors.items() if not name.startswith("words.")}
    save_file(kept, tmp_path / TENSORS)
    old = Payload.load(tmp_path)
    assert old.words.nnz == 0
    requests = RequestBatch([np.array([0, 2])])
    assert old.blend().score(requests) == pytest.approx(payload.blend().score(requests))


def test_a_model_folder_without_a_number_is_refused(registry) -> None:
    path = registry.path("v1") / PAYLOAD / CONFIG
    document = json.loads(path.read_bytes())
    assert document.pop("format") == FORMAT
    path.write_text(json.dumps(document))
    with pytest.raises(ModelFormatError, match="model format 1"):
        Payload.load(registry.path("v1") / PAYLOAD)


def test_training_starts_from_scratch_and_the_challenger_is_promoted(home, registry) -> None:
    (continued,) = retrain_tasks._champion_lineage(registry)
    assert continued.version == "v1"
    set_format(registry, "v1", None)
    assert list(retrain_tasks._champion_lineage(registry)) == []
    workspace = Workspace(home.root, home.logs / "pipeline.log", home)
    compared = retrain_tasks.compare_with_champion.fn(
        home, workspace, PACKAGED, ModelMetrics(**METRICS)
    )
    assert compared is not None
    promoted, reasons = retrain_tasks.decide.fn(compared, PACKAGED, PromotionRules())
    assert promoted
    assert reasons[0].startswith("v1 has model format 1")
    assert "popularity" in reasons[1]
    retrain_tasks.promote_model.fn(home, PACKAGED, reasons)
    assert registry.champion().version == "v2"
    assert monitor_tasks.champion_problem.fn(home) is None


def test_a_challenger_worse_than_popularity_is_not_promoted_either(home, registry) -> None:
    set_format(registry, "v1", None)
    models = {
        "recloop": METRICS["models"]["popularity"],
        "popularity": METRICS["models"]["recloop"],
    }
    ahead = {"popularity": Interval(-0.1, -0.12, -0.08)}
    metrics = ModelMetrics(requests=300, models=models, ahead_of=ahead)
    workspace = Workspace(home.root, home.logs / "pipeline.log", home)
    compared = retrain_tasks.compare_with_champion.fn(home, workspace, PACKAGED, metrics)
    assert retrain_tasks.decide.fn(compared, PACKAGED, PromotionRules())[0] is False


def test_the_monitor_names_a_champion_that_does_not_load(home, registry) -> None:
    assert monitor_tasks.champion_problem.fn(home) is None
    set_format(registry, "v1", NEWER)
    problem = monitor_tasks.champion_problem.fn(home)
    assert problem is not None
    assert f"model format {NEWER}" in problem
    set_format(registry, "v2", NEWER)
    assert monitor_tasks.load_input.fn(home) is None


def test_the_monitor_rolls_back_to_a_version_that_loads(home, registry) -> None:
    registry.promote("v2", [])
    clicks = {"v1": VersionClicks("v1", 1000, 300), "v2": VersionClicks("v2", 1000, 100)}
    set_format(registry, "v1", None)
    kept = monitor_tasks.roll_back_if_worse.fn(home, clicks, RollbackRules())
    assert kept.rolled_back is False
    assert "model format 1" in kept.reasons[0]
    assert registry.champion().version == "v2"
    set_format(registry, "v1", FORMAT)
    assert monitor_tasks.roll_back_if_worse.fn(home, clicks, RollbackRules()).rolled_back
    assert registry.champion().version == "v1"
    assert registry.champion().reasons[0] == "rolled back"


def test_a_service_answers_503_until_a_model_that_loads_is_promoted(home, registry, capfd) -> None:
    set_format(registry, "v1", None)
    engine = Engine(registry, home.champion, EventStore.at(home.events), poll_seconds=60)
    engine.start()
    try:
        client = TestClient(create_app(engine))
        answer = client.post("/v1/recommend", json={})
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "no_model"
        assert "model format 1" in capfd.readouterr().err
        registry.promote("v2", [])
        engine.refresh()
        assert client.post("/v1/recommend", json={}).json()["model_version"] == "v2"
    finally:
        engine.stop()


_OLD_TENSORS = {
    "warm": "known",
    "ease": "collaborative",
    "ease_rows": "collaborative_rows",
    "item_knn.data": "neighbours.data",
    "item_knn.indices": "neighbours.indices",
    "item_knn.indptr": "neighbours.indptr",
    "item_knn_rows": "neighbours_rows",
    "ials_factors": "factors",
    "recent_counts": "trends",
}


def test_a_package_of_format_1_is_converted(payload: Payload, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    payload.save(old)
    document = {
        "weights": {
            "channels": {"sequential": 1.0, "content": 0.5, "trend-0": 0.25, "repeat-1.0": 0.1},
            "activity": {"20": {"sequential": 2.0, "low-rank": 0.5}},
            "newcomers": {"stretch": 1.5, "shift": -0.5},
        },
        "repeats": False,
        "window": 50,
        "content_last": 5,
        "decay": 0.8,
        "neighbours_decay": 0.85,
        "low_rank": {"dim": 64, "unobserved": 0.3, "l2": 0.01, "rounds": 9, "seed": 42},
        "low_rank_decay": 0.85,
        "query": {"kind": "onnx", "mix": {"reach": 0.75, "title_weight": 10.0}, "max_tokens": 32},
        "ranker": {"weight": 0.2, "depth": 20, "shown": 5, "max_tokens": 48},
        "retrieval": {"above": 9, "count": 8, "wider": 7, "narrow": 6, "likely": 5, "sample": 4},
        "tuned_until": "1998-02-17T18:34:11Z",
        "trained_until": "1998-03-10T03:55:59Z",
        "feedback_until": 7,
    }
    old.joinpath(CONFIG).write_text(json.dumps(document))
    new_names = load_file(old / TENSORS)
    save_file({_OLD_TENSORS.get(name, name): new_names[name] for name in new_names}, old / TENSORS)
    convert(old, new)
    config, converted = read_model_config(new), load_file(new / TENSORS)
    assert {name: array.tolist() for name, array in converted.items()} == {
        name: array.tolist() for name, array in new_names.items()
    }
    channels = {"sasrec": 1.0, "text": 0.5, "recent-popularity-0": 0.25, "repeat-1.0": 0.1}
    assert config.weights.channels == channels
    assert config.weights.by_history_length == {20: {"sasrec": 2.0, "ials": 0.5}}
    assert (config.weights.cold_items.scale, config.weights.cold_items.offset) == (1.5, -0.5)
    assert config.ials.iterations == 9
    assert config.query.weights.history_weight_limit == 0.75
    assert config.ranker is not None
    assert config.ranker.history_length == 5
    found = config.retrieval
    assert (found.min_catalogue, found.per_channel, found.widen_factor) == (9, 8, 7)
    assert (found.exhaustive_below, found.shortlist, found.sample) == (6, 5, 4)
    with pytest.raises(ModelFormatError, match="only format 1 is converted"):
        convert_config(json.loads(new.joinpath(CONFIG).read_bytes()))
