"""Tests of every branch of every decision."""

from typing import Any

import pytest

from recloop.decisions import (
    DriftSummary,
    Interval,
    ModelComparison,
    PromotionRules,
    RetrainRules,
    RollbackRules,
    TrainedModel,
    VersionClicks,
    WarmStartRules,
    choose_warm_start,
    should_promote,
    should_retrain,
    should_roll_back,
)


def rivalry(**changes: object) -> ModelComparison:
    facts: dict[str, Any] = {
        "champion_version": "v1",
        "requests": 1000,
        "challenger": Interval(0.11, 0.10, 0.12),
        "champion": Interval(0.10, 0.09, 0.11),
        "difference": Interval(0.01, 0.005, 0.015),
        "challenger_coverage": 0.4,
        "champion_coverage": 0.4,
    }
    return ModelComparison(**{**facts, **changes})


@pytest.mark.parametrize(
    ("changes", "promoted", "reason"),
    [
        ({}, True, "not worse"),
        ({"difference": Interval(0.0, -0.0019, 0.002)}, True, "not worse"),  # margin: 2 % of 0.10
        ({"difference": Interval(0.0, -0.0021, 0.002)}, False, "may be worse"),
        ({"challenger_coverage": 0.19}, False, "below"),
        ({"challenger_coverage": 0.2}, True, "at least"),
        ({"requests": 199}, False, "only 199 requests"),
        ({"requests": 0}, False, "only 0 requests"),
        ({"requests": 1, "first": True}, True, "not worse"),
        ({"requests": 1, "first": True, "problem": "v1 has model format 1"}, True, "format 1"),
        ({"requests": 0, "first": True, "problem": "v1 has model format 1"}, False, "format 1"),
    ],
)
def test_promotion(changes, promoted, reason) -> None:
    decision, reasons = should_promote(rivalry(**changes), PromotionRules())
    assert decision is promoted
    assert reason in " ".join(reasons)


def condition(**changes: object) -> DriftSummary:
    facts: dict[str, Any] = {
        "new_interactions": 600,
        "trained_on": 100_000,
        "age_days": 1.0,
        "column_psi": {"event": 0.1},
        "embedding_auc": 0.5,
        "score_psi": 0.1,
    }
    return DriftSummary(**{**facts, **changes})


@pytest.mark.parametrize(
    ("changes", "wanted", "reason"),
    [
        ({}, False, "nothing drifted"),
        ({"new_interactions": 499, "column_psi": {"event": 9.0}}, False, "fewer than the 500"),
        ({"column_psi": {"event": 0.26}}, True, "event drifted"),
        ({"new_interactions": 10_000}, True, "10.0% of the snapshot"),
        ({"embedding_auc": 0.7}, True, "item texts drifted"),
        ({"score_psi": 0.6}, True, "scores drifted"),
        ({"age_days": 31.0}, True, "31 days old"),
        ({"embedding_auc": None, "score_psi": None}, False, "nothing drifted"),
        ({"trained_on": 0}, True, "of the snapshot"),
    ],
)
def test_retraining(changes, wanted, reason) -> None:
    decision, reasons = should_retrain(condition(**changes), RetrainRules())
    assert decision is wanted
    assert reason in " ".join(reasons)


@pytest.mark.parametrize(
    ("champion", "previous", "rolled_back"),
    [
        (VersionClicks("v2", 1000, 100), VersionClicks("v1", 1000, 200), True),
        (VersionClicks("v2", 1000, 199), VersionClicks("v1", 1000, 200), False),  # not significant
        (VersionClicks("v2", 499, 0), VersionClicks("v1", 1000, 200), False),  # too few
        (VersionClicks("v2", 1000, 200), VersionClicks("v1", 1000, 100), False),  # better
        (VersionClicks("v2", 1000, 0), VersionClicks("v1", 1000, 0), False),  # nobody clicks
        (
            VersionClicks("v2", 1_000_000, 95_000),
            VersionClicks("v1", 1_000_000, 100_000),
            False,
        ),  # sure, but small
        (VersionClicks("v2", 1000, 0), None, False),
    ],
)
def test_roll_back(champion, previous, rolled_back) -> None:
    decision, reasons = should_roll_back(champion, previous, RollbackRules())
    assert decision is rolled_back
    assert reasons


def test_a_rate_without_lists_is_zero() -> None:
    assert VersionClicks("v1", 0, 0).rate == 0.0


V1 = TrainedModel("v1", "monday", {"train": 1}, None)
V2 = TrainedModel("v2", "tuesday", {"train": 1}, "v1")


@pytest.mark.parametrize(
    ("ancestors", "data", "settings", "generations", "start"),
    [
        ([], "monday", 1, 5, None),  # nothing serves yet
        ([V1], "tuesday", 1, 5, "v1"),
        ([V2, V1], "wednesday", 1, 5, "v2"),
        ([V2, V1], "wednesday", 1, 1, None),  # long enough in a row
        ([V2, V1], "wednesday", 2, 5, None),  # other settings
        ([V1], "tuesday", 1, 0, None),  # switched off
        ([V2, V1], "tuesday", 1, 5, "v1"),  # asked for twice: as the first time
        ([V1], "monday", 1, 5, None),
        ([V2, V1], "tuesday", 2, 5, None),  # the same data with other settings: nothing fits
        ([V2, V1], "tuesday", 1, 0, None),
    ],
)
def test_the_model_that_training_continues(ancestors, data, settings, generations, start) -> None:
    rules = WarmStartRules(generations=generations)
    assert choose_warm_start(ancestors, data, {"train": settings}, rules) == start
