"""Tests of metrics against values worked out by hand."""

import math

import numpy as np
import polars as pl
import pytest

from recloop import columns as c
from recloop.data.catalogue import Catalogue
from recloop.evaluation import metrics
from recloop.evaluation.bootstrap import UserBootstrap
from recloop.evaluation.report import EvaluateConfig, measure_models, ndcg_differences
from tests.support.tiny_model import items

# First request: relevant at ranks 1 and 3, three relevant in all. Second: one relevant, missed.
HITS = np.array([[True, False, True], [False, False, False]])
RELEVANT = np.array([3, 1])


def test_ndcg() -> None:
    gain = 1 + 1 / math.log2(4)
    ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert metrics.ndcg(HITS, RELEVANT, 3) == pytest.approx([gain / ideal, 0])
    assert metrics.ndcg(HITS, RELEVANT, 1) == pytest.approx([1, 0])


def test_recall_precision_and_mrr() -> None:
    assert metrics.recall(HITS, RELEVANT, 3) == pytest.approx([2 / 3, 0])
    assert metrics.precision(HITS, RELEVANT, 2) == pytest.approx([1 / 2, 0])
    assert metrics.mrr(HITS[:, 1:], RELEVANT, 2) == pytest.approx([1 / 2, 0])


def test_lists_shorter_than_k_count_their_missing_ranks_as_misses() -> None:
    assert metrics.precision(HITS, RELEVANT, 10)[0] == pytest.approx(2 / 10)
    assert metrics.ndcg(HITS, RELEVANT, 10)[0] == metrics.ndcg(HITS, RELEVANT, 3)[0]


def test_coverage_counts_each_item_once_and_no_empty_rank() -> None:
    assert metrics.coverage(np.array([[0, 1], [1, -1]]), 4, 2) == pytest.approx(2 / 4)


def test_interval_resamples_users_not_requests() -> None:
    # One user has 99 hits and another one miss: of two users, a sample may have only one.
    bootstrap = UserBootstrap(["a"] * 99 + ["b"], draws=500, seed=0)
    interval = bootstrap.interval(np.array([1.0] * 99 + [0.0]))
    assert interval.value == pytest.approx(0.99)
    assert (interval.low, interval.high) == (0.0, 1.0)


def test_equal_values_give_an_interval_of_width_zero() -> None:
    interval = UserBootstrap(["a", "b", "c"], draws=100, seed=0).interval(np.full(3, 0.5))
    assert (interval.value, interval.low, interval.high) == (0.5, 0.5, 0.5)


def test_table_and_paired_difference() -> None:
    requests = pl.DataFrame(
        {c.USER: ["a", "b"], "history": [["east1"], []], c.RELEVANT: [["east2"], ["both"]]}
    )
    perfect = pl.DataFrame({c.RANKED: [["east2"], ["both"]]})
    worse = pl.DataFrame({c.RANKED: [["east2"], ["north1", "both"]]})
    config = EvaluateConfig(ks=[10], draws=200)
    models = measure_models(
        {"perfect": perfect, "worse": worse}, requests, Catalogue(items()), config
    )
    assert models["perfect"]["ndcg@10"]["value"] == pytest.approx(1)
    assert models["worse"]["ndcg@10"]["value"] == pytest.approx((1 + 1 / math.log2(3)) / 2)
    assert models["worse"]["coverage@10"] == pytest.approx(3 / 5)
    by_model = ndcg_differences(perfect, {"worse": worse}, requests, Catalogue(items()), config)
    difference = by_model["worse"]
    assert difference["value"] == pytest.approx((1 - 1 / math.log2(3)) / 2)
    assert difference["low"] == pytest.approx(0)
