"""Tests of scorers and ranking on arrays that can be worked out."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from recloop.evaluation.evaluation_requests import Requests
from recloop.scoring.blend import (
    COLD_ITEM,
    EASE,
    POPULARITY,
    SASREC,
    WORDS,
    Blend,
    BlendWeights,
    channel_contributions,
    total_scores,
)
from recloop.scoring.channels.item_item import ItemItemModel, densify_if_full
from recloop.scoring.channels.popularity import Popularity
from recloop.scoring.channels.text import TextSimilarity
from recloop.scoring.cold_items import ColdItemCalibration, ColdItemScorer
from recloop.scoring.scorer import (
    RequestBatch,
    Scores,
    ScoringRequests,
    history_channel,
    recency_weights,
    standardise,
)
from recloop.scoring.top_k import top_k
from recloop.training.blending.blend_fitting import fit_blend
from recloop.training.channels.item_item_fitting import fit_ease, fit_item_knn

# Three users: {0, 1}, {0, 1}, {1, 2}; item 3 is nobody's.
MATRIX = sparse.csr_matrix(np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0]], np.float32))
NOTHING = np.empty(0, np.int64)


def test_recency_weights_fall_towards_the_past() -> None:
    assert recency_weights(3, 0.5) == pytest.approx([0.25, 0.5, 1.0])


def test_ease_is_its_closed_form() -> None:
    gram = (MATRIX.T @ MATRIX).toarray()[:3, :3] + 2.0 * np.eye(3)
    inverse = np.linalg.inv(gram)
    model = fit_ease(MATRIX, l2=2.0, decay=1.0)
    scores = model.score([np.array([0])])
    assert scores[0, 1] == pytest.approx(-inverse[0, 1] / inverse[1, 1], rel=1e-5)
    assert scores[0, 3] == 0  # never seen, never scored


def test_item_item_decays_the_history() -> None:
    model = fit_ease(MATRIX, l2=2.0, decay=0.5)
    old, new = model.score([np.array([0])])[0], model.score([np.array([2])])[0]
    assert model.score([np.array([0, 2])])[0] == pytest.approx(0.5 * old + new, abs=1e-6)


def test_knn_is_cosine_and_keeps_the_nearest() -> None:
    scores = fit_item_knn(MATRIX, neighbours=1, decay=1.0).score([np.array([1])])[0]
    assert scores[0] == pytest.approx(2 / np.sqrt(2 * 3))  # two shared users, of two and of three
    assert scores[1] == 0  # no item is its own neighbour


def test_max_items_keeps_the_popular() -> None:
    assert fit_ease(MATRIX, l2=1.0, decay=1.0, max_items=2).rows.tolist() == [0, 1]


def test_popularity_is_the_same_for_all() -> None:
    scores = Popularity(np.array([0, 3], np.float32)).score([NOTHING, np.array([1])])
    assert scores.tolist() == [[0, pytest.approx(np.log(4))]] * 2


def test_content_is_the_cosine_to_the_last_items() -> None:
    text = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    scores = TextSimilarity(text, last=1).score([np.array([0, 1]), NOTHING])
    assert scores[0] == pytest.approx([0, 1, 0.8])
    assert scores[1].tolist() == [0, 0, 0]


def test_standardise_leaves_flat_rows_at_zero() -> None:
    scaled = standardise(np.array([[1, 3], [5, 5]], np.float32))
    assert scaled.tolist() == [[-1, 1], [0, 0]]


def test_blend_adds_weighted_channels_of_known_items() -> None:
    weights = BlendWeights(channels={SASREC: 2.0, POPULARITY: 0.0})
    channel = Popularity(np.array([0, 3], np.float32))
    cold_items = ColdItemScorer.from_text(
        np.zeros((2, 1), np.float32), np.array([True, True]), weights.cold_items
    )
    channels = dict.fromkeys((SASREC, POPULARITY), history_channel(channel))
    blend, requests = Blend(channels, weights, cold_items), RequestBatch([NOTHING])
    assert blend.score(requests)[0] == pytest.approx([-2, 2])
    assert list(blend.contributions(requests)) == [SASREC]  # a channel without weight costs nothing


def test_a_cold_item_gets_the_mean_score_of_its_text_neighbours() -> None:
    text = np.array([[1, 0], [0, 1], [1, 0], [0, 0]], np.float32)
    warm = np.array([True, True, False, False])
    channel = Popularity(np.array([9, 0, 5, 5], np.float32))
    weights = BlendWeights(channels={POPULARITY: 1.0})
    weights.cold_items = ColdItemCalibration(scale=0.5, offset=-0.1)
    cold_items = ColdItemScorer.from_text(text, warm, weights.cold_items)
    parts = Blend({POPULARITY: history_channel(channel)}, weights, cold_items).contributions(
        RequestBatch([NOTHING])
    )
    assert parts[POPULARITY][0] == pytest.approx([1, -1, 0, 0])
    # The third is like the first: half of 1, less a tenth of the spread. The fourth says nothing.
    assert parts[COLD_ITEM][0] == pytest.approx([0, 0, 0.4, -1])


def test_a_cold_item_is_also_scored_by_its_own_words() -> None:
    warm = np.array([True, True, False, False])
    calibration = ColdItemCalibration(words=0.5)
    scorer = ColdItemScorer(
        sparse.csr_matrix(np.array([[1, 0, 0, 0], [1, 0, 0, 0]], np.float32)),
        np.array([2, 3]),
        warm,
        calibration,
    )
    blended, words = np.array([[1, -1, 0, 0]], np.float32), np.array([[0, 2, 1, 4]], np.float32)
    assert scorer.relative_to_warm(words)[0] == pytest.approx([0, 3])
    assert scorer.score_among(blended, words)[0] == pytest.approx([1, 1 + 0.5 * 3])
    assert scorer.score_among(blended)[0] == pytest.approx([1, 1])
    weights = BlendWeights(channels={POPULARITY: 1.0}, cold_items=calibration)
    channels = {
        POPULARITY: lambda _: np.array([[3, 1, 9, 9]], np.float32),
        WORDS: lambda _: words,
    }
    parts = Blend(channels, weights, scorer).contributions(RequestBatch([NOTHING]))
    assert parts[COLD_ITEM][0] == pytest.approx([0, 0, 1, 2.5])


def test_the_words_of_cold_items_count_where_they_show_what_is_chosen() -> None:
    """Neighbours say nothing about cold items, their own words which of them is chosen."""
    rng = np.random.default_rng(0)
    text, warm = rng.normal(size=(80, 8)).astype(np.float32), np.ones(80, bool)
    wanted = rng.integers(80, size=500)
    words = rng.normal(size=(500, 80)).astype(np.float32)
    words[np.arange(500), wanted] += 3
    requests = Requests([NOTHING] * 500, [np.array([row]) for row in wanted])
    taste = rng.normal(size=(500, 80)).astype(np.float32)
    taste[np.arange(500), wanted] += 3
    channels = {"taste": lambda _: taste, WORDS: lambda _: words}
    assert fit_blend(channels, text, warm, requests, seed=0, new=8).cold_items.words == 0.4
    # The neighbours of each item say everything, and its words nothing.
    noise = rng.normal(size=words.shape).astype(np.float32)
    pairs = np.eye(40, dtype=np.float32)[np.arange(80) // 2]
    same = np.repeat(taste.reshape(500, 40, 2).max(2), 2, axis=1)
    channels = {"taste": lambda _: same, WORDS: lambda _: noise}
    assert fit_blend(channels, pairs, warm, requests, seed=0, new=8).cold_items.words <= 0.1


def test_without_choices_to_learn_from_personal_channels_lead() -> None:
    """All choices in the validation data are of items that are new in them."""
    channels = {name: lambda _: np.zeros((2, 4), np.float32) for name in (EASE, POPULARITY)}
    requests = Requests([np.array([0])] * 2, [np.array([3])] * 2)
    warm = np.array([True, True, True, False])
    weights = fit_blend(channels, np.eye(4, dtype=np.float32), warm, requests, seed=0, new=1)
    assert weights.channels[EASE] > weights.channels[POPULARITY] > 0


def test_the_blend_weights_the_channel_that_helps() -> None:
    rng = np.random.default_rng(0)
    wanted = rng.integers(6, size=200)
    requests = Requests([NOTHING] * 200, [np.array([row]) for row in wanted])
    scores = {
        "right": rng.normal(size=(200, 6)).astype(np.float32),
        "noise": rng.normal(size=(200, 6)).astype(np.float32),
    }
    scores["right"][np.arange(200), wanted] += 2
    channels = {name: lambda _, name=name: scores[name] for name in scores}
    weights = fit_blend(
        channels, np.zeros((6, 1), np.float32), np.ones(6, bool), requests, seed=0, new=0
    )
    assert weights.channels["right"] > 1
    assert 0 <= weights.channels["noise"] < 0.3


@pytest.mark.parametrize("apart", [True, False])
def test_active_users_get_weights_of_their_own_if_validation_gains(*, apart: bool) -> None:
    """A third of the users follow one channel; the others follow another one, or the same."""
    rng = np.random.default_rng(0)
    lengths, wanted = np.arange(600) // 20, rng.integers(6, size=600)
    requests = Requests(
        [np.zeros(length, np.int64) for length in lengths],
        [np.array([row]) for row in wanted],
        masked=False,
    )
    scores = {name: rng.normal(size=(600, 6)).astype(np.float32) for name in ("first", "second")}
    follows = np.where((lengths < 10) | (not apart), "first", "second")
    for name, score in scores.items():
        score[np.flatnonzero(follows == name), wanted[follows == name]] += 2
    channels = {name: lambda _, name=name: scores[name] for name in scores}
    text, warm = np.zeros((6, 1), np.float32), np.ones(6, bool)
    weights = fit_blend(channels, text, warm, requests, seed=0, new=0)
    assert bool(weights.by_history_length) == apart
    new, old = weights.active_weights(np.array([3, 25])).get("second", np.zeros((2, 1)))[:, 0]
    assert (old > new + 0.5) == apart


@pytest.mark.parametrize(("share", "first"), [(0.6, True), (0.0, False)])
def test_the_blend_learns_the_weight_of_cold_items(share: float, *, first: bool) -> None:
    """Tastes are two directions of text; `share` of the choices are the taste's new item."""
    rng = np.random.default_rng(0)
    taste = rng.integers(2, size=400)
    text = np.eye(2, dtype=np.float32)[np.arange(40) % 2]
    warm = np.arange(40) < 36
    new = rng.random(400) < share
    wanted = np.where(new, 36, 2 * rng.integers(18, size=400)) + taste
    requests = Requests([np.array([row]) for row in taste], [np.array([row]) for row in wanted])

    def channel(requests: ScoringRequests) -> Scores:
        liked = np.array([history[0] for history in requests.histories])
        return 2 * (np.arange(40) % 2 == liked[:, None]).astype(np.float32)

    weights = fit_blend({"taste": channel}, text, warm, requests, seed=0, new=4)
    cold_items = ColdItemScorer.from_text(text, warm, weights.cold_items)
    scores = total_scores(
        channel_contributions(
            lambda _: channel(requests), weights, cold_items, requests.history_lengths()
        )
    )
    best = top_k(scores, requests.excluded(), 1)[0][:, 0]
    assert (best >= 36).all() == first
    # Whoever is shown a new item is shown one of their taste.
    assert (scores[:, 36:].argmax(1) % 2 == taste).all()


def test_items_without_text_do_not_widen_those_with_one() -> None:
    rng = np.random.default_rng(0)
    text, warm = rng.normal(size=(60, 8)).astype(np.float32), np.arange(60) < 40
    wanted = rng.integers(1, 40, 100)
    requests = Requests([np.array([0])] * 100, [np.array([row]) for row in wanted])
    scores = rng.normal(size=(100, 60)).astype(np.float32)
    scores[np.arange(100), wanted] += 2

    def stretch(silent: int) -> float:
        """Return the scale of cold items with so many more items that have no text."""
        wider = np.pad(scores, ((0, 0), (0, silent)))
        weights = fit_blend(
            {"any": lambda _: wider},
            np.pad(text, ((0, silent), (0, 0))),
            np.pad(warm, (0, silent)),
            requests,
            seed=0,
            new=20 + silent,
        )
        return weights.cold_items.scale

    assert stretch(500) == pytest.approx(stretch(0), rel=1e-3)


def test_top_k_orders_and_breaks_ties_by_catalogue_order() -> None:
    ranked, scores = top_k(np.array([[1, 3, 3, 2]], np.float32), [NOTHING], 3)
    assert ranked.tolist() == [[1, 2, 3]]
    assert scores.tolist() == [[3, 3, 2]]


@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=30),
    st.sets(st.integers(0, 29)),
    st.integers(1, 40),
)
def test_top_k_leaves_out_masked_items(scores, forbidden, k) -> None:
    banned = np.array(sorted(row for row in forbidden if row < len(scores)), np.int64)
    ranked, _ = top_k(np.array([scores], np.float32), [banned], k)
    shown = [row for row in ranked[0] if row >= 0]
    assert not set(shown) & set(banned.tolist())
    assert len(shown) == len(set(shown)) == min(k, len(scores) - len(banned))


def test_a_full_matrix_becomes_dense_with_the_same_scores() -> None:
    rng = np.random.default_rng(0)
    rows, history = np.arange(40), np.array([3, 17, 3, 30])
    full: Any = sparse.random(40, 40, 0.2, "csr", np.float32, rng)
    scarce: Any = sparse.random(40, 40, 0.05, "csr", np.float32, rng)
    assert isinstance(densify_if_full(full), np.ndarray)
    assert densify_if_full(scarce) is scarce
    apart, written = (ItemItemModel(each, rows, 40, 0.9) for each in (full, densify_if_full(full)))
    np.testing.assert_allclose(written.score([history]), apart.score([history]), rtol=1e-6)
