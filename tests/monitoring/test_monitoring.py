"""Tests of drift and click counts: frames worked out by hand, and the real Evidently."""

import math
import warnings

import numpy as np
import polars as pl
import pytest

from monitoring import frames
from recloop import columns as c
from recloop.data.contract import conform_interactions
from tests.support import tiny_model

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Evidently warns of its own dependencies when it is imported
    from monitoring import drift

RAW = {
    "user_id": ["a", "a", "b"],
    "item_id": ["east1", "north1", "elsewhere"],
    "timestamp": [1, 2, 3],
    "event": ["rating", "click", "click"],
    "value": [4.0, None, None],
}
INTERACTIONS = conform_interactions(pl.DataFrame(RAW)).rows
POPULARITY = pl.DataFrame({c.ITEM: tiny_model.IDS, "count": tiny_model.COUNTS})


def test_interactions_are_described_without_identities() -> None:
    described = frames.interaction_features(INTERACTIONS, tiny_model.items(), POPULARITY)
    assert described.columns == ["event", "category", "value", "popularity", "activity"]
    assert described["category"].to_list() == ["east", "north", "unknown"]
    assert described["popularity"].to_list() == pytest.approx([math.log(6), math.log(4), 0])
    assert described["activity"].to_list() == pytest.approx([math.log(3), math.log(3), math.log(2)])


def test_a_list_is_clicked_if_an_event_names_its_request_and_one_of_its_items() -> None:
    served = pl.DataFrame(
        {
            c.REQUEST: ["r1", "r2", "r3"],
            "items": [["east1", "north1"], ["east1"], ["east1"]],
            "model_version": ["v1", "v1", "v2"],
        }
    )
    events = INTERACTIONS.with_columns(pl.Series(c.REQUEST, ["r1", "r1", "r2"]))
    assert frames.click_counts(served, events).rows() == [("v1", 2, 1), ("v2", 1, 0)]


def test_top_scores_are_means_of_lists() -> None:
    lists = pl.DataFrame({c.SCORES: [[1.0] * 5 + [3.0] * 5 + [-9.0], [1.0] * 9, []]})
    assert frames.mean_top_scores(lists)["score"].to_list() == [2.0]


def table(rng: np.random.Generator, category: list[float], shift: float) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "event": rng.choice(["click", "cart"], 2000),
            "category": rng.choice(["x", "y"], 2000, p=category),
            "value": rng.normal(size=2000),
            "popularity": rng.normal(shift, size=2000),
            "activity": rng.normal(size=2000),
        }
    )


def test_drift_is_found_where_it_is_and_only_there(tmp_path) -> None:
    rng = np.random.default_rng(0)
    reference = table(rng, [0.5, 0.5], 0)
    current = table(rng, [0.9, 0.1], 1)
    found = drift.interaction_drift(current, reference, 0.25, tmp_path / "r" / "drift.html")
    assert {name for name, psi in found.items() if psi > 0.25} == {"category", "popularity"}
    assert (tmp_path / "r" / "drift.html").stat().st_size > 100_000


def test_scores_and_embeddings(tmp_path) -> None:
    rng = np.random.default_rng(0)
    same, other = (pl.DataFrame({"score": rng.normal(m, size=2000)}) for m in (0, 2))
    again = pl.DataFrame({"score": rng.normal(0, size=2000)})
    assert drift.score_drift(again, same, 0.25, tmp_path / "a.html") < 0.1
    assert drift.score_drift(other, same, 0.25, tmp_path / "b.html") > 0.5
    here, there = (rng.normal(m, size=(1000, 8)).astype(np.float32) for m in (0, 1))
    also_here = rng.normal(0, size=(1000, 8)).astype(np.float32)
    assert drift.embedding_drift(also_here, here, seed=0) < 0.6
    assert drift.embedding_drift(there, here, seed=0) > 0.8
