"""Tests of click-through prediction: metrics, and features that use the past only."""

import math
from collections.abc import Mapping

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recloop.ctr import CtrConfig, Problem, ctr_models, predict_test
from recloop.ctr.features.pair_features import describe
from recloop.ctr.features.past_state import State, StateConfig
from recloop.ctr.features.word_vectors import word_vectors
from recloop.ctr.folds import folds, kind_of
from recloop.ctr.log import Log
from recloop.ctr.metrics import _AreaUnderCurve, auc, log_loss, quality, report, uauc, user_aucs
from recloop.ctr.models.additive import fit_bias
from recloop.ctr.models.boosting import BoostConfig
from recloop.ctr.models.calibration import fit_calibration
from recloop.ctr.models.linear import Linear

QUICK = CtrConfig(boost=BoostConfig(leaves=(7,), max_rounds=60, patience=10, seeds=1), folds=3)


def planted(rows: int = 1_500, *, ordered: bool = True, seed: int = 0) -> pl.DataFrame:
    """Return users and items of two kinds; likes have probability 0.8 within a kind, else 0.2."""
    rng = np.random.default_rng(seed)
    users, items = rng.integers(0, 30, rows), rng.integers(0, 40, rows)
    chance = np.where(users % 2 == items % 2, 0.8, 0.2)
    parts = np.repeat(["train", "valid", "test"], [rows * 8 // 10, rows // 10, rows // 10])
    return pl.DataFrame(
        {
            "user": users.astype(np.int32),
            "item": items.astype(np.int32),
            "order": np.arange(rows) if ordered else np.full(rows, -1),
            "label": (rng.random(rows) < chance).astype(np.float32),
            "split": parts if ordered else rng.permutation(parts),
        }
    )


def texts(count: int = 40) -> list[str]:
    return [f"{'western' if item % 2 else 'musical'} number {item}" for item in range(count)]


def aucs(frame: pl.DataFrame, probabilities: np.ndarray) -> tuple[float, float]:
    test = frame.filter(pl.col("split") == "test")
    labels, users = test["label"].to_numpy(), test["user"].to_numpy()
    return auc(labels, probabilities), uauc(users, labels, probabilities)


def test_auc_counts_pairs_and_ties_half() -> None:
    labels = np.array([1, 0, 1, 0])
    assert auc(labels, np.array([0.9, 0.1, 0.2, 0.5])) == pytest.approx(3 / 4)
    assert auc(labels, np.array([0.9, 0.1, 0.5, 0.5])) == pytest.approx(3.5 / 4)
    assert auc(labels, np.zeros(4)) == pytest.approx(0.5)
    assert math.isnan(auc(np.ones(2), np.arange(2.0)))


def test_auc_weights_are_copies() -> None:
    labels, scores = np.array([1, 0, 1]), np.array([0.3, 0.5, 0.7])
    twice = auc(np.append(labels, 1), np.append(scores, 0.3))
    assert (
        auc(labels, scores, np.array([2.0, 1, 1])) == pytest.approx(twice) == pytest.approx(1 / 3)
    )


def test_uauc_leaves_users_of_one_class_out() -> None:
    users = np.array([1, 2, 1, 3, 2, 1, 2])
    labels = np.array([1, 1, 0, 1, 0, 0, 0])
    scores = np.array([0.5, 0.1, 0.5, 0.9, 0.2, 0.1, 0.1])
    # User 1: one tie, one win. User 2: one loss, one tie. User 3 has liked all.
    ids, values = user_aucs(users, labels, scores)
    assert ids.tolist() == [1, 2]
    assert values == pytest.approx([0.75, 0.25])
    assert uauc(users, labels, scores) == pytest.approx(0.5)
    assert math.isnan(uauc(users[:1], labels[:1], scores[:1]))
    assert quality(users[:1], labels[:1], scores[:1]) == 1.0


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.booleans(), st.integers(0, 4)), min_size=1, max_size=30
    )
)
def test_user_aucs_are_aucs_of_users(rows) -> None:
    users, labels, scores = (np.array(column, float) for column in zip(*rows, strict=True))
    ids, values = user_aucs(users, labels, scores)
    each = {user: auc(labels[users == user], scores[users == user]) for user in np.unique(users)}
    assert dict(zip(ids, values, strict=True)) == pytest.approx(
        {user: value for user, value in each.items() if not math.isnan(value)}
    )


def test_log_loss_and_report() -> None:
    labels, p = np.array([1, 0]), np.array([0.5, 0.75])
    assert log_loss(labels, p) == pytest.approx((math.log(2) + math.log(4)) / 2)
    found = report(np.array([7, 9]), labels, p, draws=50)
    assert found["auc"]["value"] == 0
    assert found["accuracy"] == {"value": 0.5, "low": 0.0, "high": 1.0}
    assert found["log_loss"]["low"] == pytest.approx(math.log(2))
    assert math.isnan(found["uauc"]["value"])


def test_bias_solves_its_equation() -> None:
    frame = pl.DataFrame({"user": [0, 0], "item": [0, 1], "label": [1.0, 0.0], "order": [0, 1]})
    bias = fit_bias(Log.from_frame(frame), 2, 3, l2=1.0)
    # Only items differ: each effect equals its residual over the ridge.
    assert bias.item[0] == pytest.approx(1 - 1 / (1 + math.exp(-bias.item[0])), abs=1e-4)
    assert bias.item[1] == pytest.approx(-bias.item[0], abs=1e-4)
    assert bias.item[2] == bias.user[1] == 0


def test_the_linear_model_solves_its_equation() -> None:
    """The gradient of the penalised loss is zero, with an unknown and a constant feature."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 4)).astype(np.float32)
    features[::7, 1], features[:, 2] = np.nan, 5.0
    labels = (rng.random(400) < 1 / (1 + np.exp(-features[:, 0]))).astype(np.float32)
    logits = Linear(features, labels, l2=10.0).scores(features)
    rest = labels - 1 / (1 + np.exp(-logits))
    mean, spread = np.nanmean(features, 0), np.nanstd(features, 0) + 1e-6
    design = np.clip(np.nan_to_num((features - mean) / spread), -4, 4)
    slopes = np.linalg.lstsq(np.column_stack([design, np.ones(400)]), logits, rcond=None)[0][:4]
    assert rest.sum() == pytest.approx(0, abs=1e-6)
    assert design.T @ rest == pytest.approx(10 * slopes, abs=1e-4)


def test_item_effects_by_text_are_a_weighted_ridge_regression() -> None:
    log = Log.from_frame(planted(200))
    vectors = word_vectors(texts(), 8)
    assert vectors is not None
    state = State(log, (30, 40), vectors, StateConfig())
    counts = np.bincount(log.items, minlength=40)
    design = np.column_stack([vectors, np.ones(40)]).astype(np.float64)
    weighted = design.T * (counts / (counts + 10))
    slopes = np.linalg.solve(weighted @ design + 5 * np.eye(9), weighted @ state.bias.item)
    assert state.items["text_quality"] == pytest.approx(design @ slopes, abs=1e-6)


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=30
    )
)
def test_the_bootstrap_weighs_as_scikit_learn_does(rows) -> None:
    labels, scores, weights = (np.array(column, float) for column in zip(*rows, strict=True))
    expected = auc(labels, scores, weights)
    assert _AreaUnderCurve(labels, scores)(weights) == pytest.approx(expected, nan_ok=True)


def test_calibration_finds_rates_and_keeps_the_order() -> None:
    scores = np.repeat([0.0, 1.0], 400)
    labels = np.concatenate([np.arange(400) < 100, np.arange(400) < 300]).astype(np.float32)
    assert fit_calibration(scores, labels)(np.array([0.0, 1.0])) == pytest.approx(
        [0.25, 0.75], abs=0.01
    )
    turned = fit_calibration(scores, 1 - labels)(np.array([0.0, 1.0]))
    assert turned[0] <= turned[1]


def test_texts_with_the_same_words_have_similar_vectors() -> None:
    vectors = word_vectors(["red wine", "wine red", "blue sky", ""], 8)
    assert vectors is not None
    assert vectors @ vectors[0] == pytest.approx([1, 1, 0, 0], abs=0.05)
    assert word_vectors(["", ""], 8) is None


def test_kinds_of_split_are_told_apart() -> None:
    frame = planted()
    parts = {
        name: Log.from_frame(part)
        for (name,), part in frame.partition_by("split", as_dict=True).items()
    }
    train, test = parts["train"], parts["test"]
    assert kind_of(train, test) == "time"
    assert kind_of(test, train) == "random"
    last = pl.col("order") == pl.col("order").max().over("user")
    assert (
        kind_of(Log.from_frame(frame.filter(~last)), Log.from_frame(frame.filter(last))) == "user"
    )
    unordered = Log.from_frame(planted(ordered=False))
    assert kind_of(unordered, unordered) == "random"


def test_folds_of_a_time_split_have_strictly_earlier_pasts() -> None:
    frame = planted().with_columns(order=pl.col("order") // 7)
    train = Log.from_frame(frame.filter(pl.col("split") == "train"))
    test = Log.from_frame(frame.filter(pl.col("split") == "test"))
    found = list(folds(train, test, 4, seed=0))
    assert len(found) == 4
    for fold in found:
        assert train.order[fold.past].max() < train.order[fold.rows].min()


def test_new_test_users_make_folds_of_users() -> None:
    frame = planted(ordered=False)
    train = Log.from_frame(frame.filter(pl.col("user") < 20))
    test = Log.from_frame(frame.filter(pl.col("user") >= 20))
    found = list(folds(train, test, 4, seed=0))
    assert len(found) == 4
    for fold in found:
        assert not set(train.users[fold.past]) & set(train.users[fold.rows])


@settings(max_examples=10, deadline=None)
@given(st.integers(30, 280), st.integers(0, 2**16))
def test_features_never_look_ahead(cut, seed) -> None:
    frame = planted(300, seed=seed)
    later = pl.col("order") >= cut
    other = frame.with_columns(
        label=pl.when(later).then(1 - pl.col("label")).otherwise("label"),
        item=pl.when(later).then(39 - pl.col("item")).otherwise("item"),
    )

    def features(frame: pl.DataFrame) -> Mapping[str, np.ndarray]:
        log = Log.from_frame(frame)
        past, rows = log.take(np.arange(20)), log.take(np.arange(20, cut))
        vectors = word_vectors(texts(), 8)
        return describe(State(past, (30, 40), vectors, StateConfig()), rows, log)

    first, second = features(frame), features(other)
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)


@pytest.mark.slow
def test_the_labels_of_test_rows_are_never_read() -> None:
    frame = planted(600)
    test = pl.col("split") == "test"
    turned = frame.with_columns(label=pl.when(test).then(1 - pl.col("label")).otherwise("label"))
    for name, model in ctr_models(QUICK).items():
        one, other = (model(Problem.from_frame(f, texts())) for f in (frame, turned))
        np.testing.assert_array_equal(one, other, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("ordered", [True, False])
def test_a_planted_taste_is_found(ordered) -> None:
    frame = planted(3_000, ordered=ordered)
    found = predict_test(frame, texts(), config=QUICK)
    assert np.isfinite(found).all()
    assert ((found > 0) & (found < 1)).all()
    area, own = aucs(frame, found)
    assert area > 0.7  # the best possible is 0.8
    assert own > 0.7


@pytest.mark.slow
def test_earlier_test_rows_tell_of_new_users() -> None:
    frame = planted(3_000).with_columns(
        user=pl.when(pl.col("order") < 2_700).then("user").otherwise(pl.col("user") + 30)
    )
    frame = frame.with_columns(order=pl.col("order"))
    closed = aucs(frame, predict_test(frame, texts(), config=QUICK))
    shown = QUICK.model_copy(update={"reveal": "earlier"})
    assert aucs(frame, predict_test(frame, texts(), config=shown))[1] > closed[1] + 0.05


@pytest.mark.slow
def test_cold_users_and_items_and_missing_texts() -> None:
    frame = planted(600).with_columns(
        user=pl.when(pl.col("split") == "test").then(pl.col("user") + 30).otherwise("user"),
        item=pl.when(pl.col("split") == "test").then(pl.col("item") + 40).otherwise("item"),
    )
    for given_texts in (texts(80), [""] * 80, []):
        for name, model in ctr_models(QUICK).items():
            assert np.isfinite(model(Problem.from_frame(frame, given_texts))).all(), name


def test_users_with_labels_of_one_class_are_accepted() -> None:
    frame = planted(600).with_columns(label=(pl.col("user") % 2).cast(pl.Float32))
    assert aucs(frame, predict_test(frame, texts(), config=QUICK))[0] > 0.95


def test_constant_labels_are_an_error() -> None:
    with pytest.raises(ValueError, match="labels of the train rows"):
        predict_test(planted(100).with_columns(label=pl.lit(1.0)), texts())
    with pytest.raises(ValueError, match="no rows whose split is test"):
        predict_test(planted(100).filter(pl.col("split") != "test"), texts())
