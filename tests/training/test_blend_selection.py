"""Tests of the selection of a blend on validation data."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from recloop.evaluation.evaluation_requests import Requests
from recloop.scoring.blend import BlendWeights
from recloop.scoring.scorer import Channel, ScoringRequests, standardise
from recloop.training.blending.blend_selection import (
    CandidateBlend,
    candidate_blends,
    select_blend,
)
from recloop.training.blending.validation_choices import (
    ValidationChoices,
    ndcg_among_alternatives,
)

NO_HISTORY = np.empty(0, np.int64)


def _requests(relevant: list[list[int]], *, masked: bool = True) -> Requests:
    histories = [NO_HISTORY] * len(relevant)
    return Requests(histories, [np.array(rows) for rows in relevant], masked=masked)


def _channels(scores: Mapping[str, NDArray[np.float32]]) -> dict[str, Channel]:
    """Return channels with stored scores, for requests that are scored in one batch."""
    return {name: partial(_stored, own) for name, own in scores.items()}


def _stored(scores: NDArray[np.float32], _: ScoringRequests) -> NDArray[np.float32]:
    return scores


def test_quality_among_alternatives_is_that_of_the_full_ranking_of_a_small_catalogue() -> None:
    rng = np.random.default_rng(0)
    scores = {name: rng.normal(size=(50, 120)).astype(np.float32) for name in "ab"}
    relevant = [rng.choice(120, 3, replace=False).tolist() for _ in range(50)]
    requests, warm = _requests(relevant), np.ones(120, bool)
    choices = ValidationChoices.draw(_channels(scores), warm, requests, seed=0)
    weights = np.array([1.0, 0.5])
    total = sum(w * standardise(own) for w, own in zip(weights, scores.values(), strict=True))
    found = ndcg_among_alternatives(choices.among_best, np.tile(weights, (50, 1)))
    assert found.mean() == pytest.approx(requests.ndcg_at_10(total.astype(np.float32)))


def test_ties_do_not_favour_what_was_chosen() -> None:
    scores = {"flat": np.zeros((40, 60), np.float32)}
    choices = ValidationChoices.draw(
        _channels(scores), np.ones(60, bool), _requests([[59]] * 40), seed=0
    )
    assert ndcg_among_alternatives(choices.among_best, np.ones((40, 1))).sum() == 0


def test_the_blend_is_no_worse_than_a_channel_with_heavy_tails() -> None:
    """One channel ranks best, but its highest scores are no surer than its middle ones."""
    rng = np.random.default_rng(1)
    requests, items = 500, 400
    wanted, rows = rng.integers(items, size=requests), np.arange(requests)
    heavy = np.zeros((requests, items), np.float32)
    for row in rows:
        found = rng.choice(items, 8, replace=False)
        heavy[row, found] = 40 ** rng.random(8)
    hit = rng.random(requests) < 0.7
    heavy[rows[hit], wanted[hit]] = 2 + 2 * rng.random(hit.sum())
    other = rng.normal(size=heavy.shape).astype(np.float32)
    other[rows, wanted] += 1.0
    choices = ValidationChoices.draw(
        _channels({"heavy": heavy, "other": other}),
        np.ones(items, bool),
        _requests([[row] for row in wanted]),
        seed=0,
    )
    candidates = candidate_blends(["heavy", "other"], choices, seed=0)
    by_name = {each.name: each.quality.mean() for each in candidates}
    # Without the comparison, this fit of the likelihood alone would serve.
    assert by_name["fitted, linear, random alternatives"] < by_name["heavy"] - 0.01
    chosen = select_blend(candidates, choices.users)
    assert chosen.quality.mean() >= by_name["heavy"]


def _candidate(name: str, complexity: int, quality: NDArray[np.float64]) -> CandidateBlend:
    return CandidateBlend(name, BlendWeights(channels={}), complexity, quality)


def test_the_simplest_within_one_standard_error_wins() -> None:
    rng = np.random.default_rng(0)
    base, users = rng.random(400), np.arange(400)
    noise = rng.normal(0, 0.1, 400)
    candidates = [
        _candidate("simple", 0, base),
        _candidate("slightly better", 2, base + noise - noise.mean() + 0.004),  # 0.8 of an error
        _candidate("worse", 1, base - 0.1),
    ]
    assert select_blend(candidates, users).name == "simple"
    clearly = _candidate("clearly better", 3, base + noise - noise.mean() + 0.02)
    assert select_blend([*candidates, clearly], users).name == "clearly better"
    # All requests come from four users, so the same differences prove little.
    assert select_blend([candidates[0], clearly], users % 4).name != "worse"


def test_a_useless_channel_seldom_makes_the_blend_worse() -> None:
    """In 20 simulated validations, a channel of noise joins a good one."""
    losses = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        wanted = rng.integers(200, size=300)
        scores = {name: rng.normal(size=(300, 200)).astype(np.float32) for name in ("good", "no")}
        scores["good"][np.arange(300), wanted] += 2
        channels, warm = _channels(scores), np.ones(200, bool)
        choices = ValidationChoices.draw(channels, warm, _requests([[w] for w in wanted]), seed)
        weights = select_blend(candidate_blends(list(scores), choices, seed), choices.users).weights
        share = weights.channels["no"] / weights.channels["good"]
        losses.append(share > 0.1)
    assert np.mean(losses) <= 0.1
