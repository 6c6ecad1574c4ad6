"""Tests of `recloop evaluate`: reading folders, requests, and every model on a small data set."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import sparse
from typer.testing import CliRunner

from recloop.benchmark.dataset import DataSet, FolderError, read_folder
from recloop.benchmark.run import RANKING_MODELS, parse_models
from recloop.cli.main import app
from recloop.data.interaction_log import TEST_PART, VALID_PART, InteractionLog
from recloop.evaluation.evaluation_requests import Requests
from recloop.scoring.channels.implicit_als import ImplicitALSConfig, LeastSquares, fit_ials
from recloop.scoring.channels.recent_popularity import RecentPopularity
from recloop.scoring.channels.repeat_consumption import RepeatConsumption
from recloop.scoring.conditional_logit import Choices, fit_conditional_logit
from recloop.training.finetuning.auto_settings import settings_from_data
from recloop.training.finetuning.sequence_model import TrainConfig
from recloop.training.modules.tower import TowerConfig
from tests.support.checkout import small_base

ITEMS = 12


def interactions(users: int = 30) -> pl.DataFrame:
    """Return users who step through a circle of items; the last two steps are held out."""
    rows = [
        {
            "user_id": u,
            "item_id": (u + step) % ITEMS,
            "timestamp": 1_000_000 + 60 * step + u,
            "split": split,
        }
        for u in range(users)
        for step, split in enumerate(["train"] * 6 + ["valid", "test"])
    ]
    return pl.DataFrame(rows)


def write(folder: Path, table: pl.DataFrame) -> Path:
    ids = pl.int_range(ITEMS, eager=True).cast(table["item_id"].dtype)
    titles = [f"number {n}" for n in range(ITEMS)]
    table.write_parquet(folder / "interactions.parquet")
    items = pl.DataFrame({"item_id": ids, "title": titles, "text": [""] * ITEMS})
    items.write_parquet(folder / "items.parquet")
    return folder


def make_requests(data: DataSet, *, group_by_time: bool, repeats: bool) -> Requests:
    return Requests.from_log(
        data.log(repeats=repeats), TEST_PART, group_by_time=group_by_time, repeats=repeats
    )


@pytest.mark.slow
def test_every_model_answers_and_the_document_has_the_agreed_form(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    command = [
        "evaluate",
        str(write(tmp_path, interactions())),
        "--seconds",
        "1",
        "--out",
        str(out),
    ]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    document = json.loads(out.read_text())
    assert document["protocol"] == "next-item"
    assert tuple(document["models"]) == RANKING_MODELS
    assert document["requests"] == 30
    for measured in document["models"].values():
        assert set(measured["ndcg@10"]) == {"value", "low", "high"}
        assert measured["train_seconds"] >= 0
    # Six items are left; the next of the circle is the nearest neighbour of the last one.
    assert document["models"]["item-knn"]["recall@5"]["value"] > 0.9
    assert document["models"]["recloop"]["recall@5"]["value"] > 0.9


@pytest.fixture
def small_language_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a small language model with random weights instead of MiniLM, which trains slowly."""
    base = str(small_base(tmp_path / "base"))
    monkeypatch.setattr("recloop.benchmark.training.resolve_base", lambda _name: base)


@pytest.mark.slow
@pytest.mark.usefixtures("small_language_model")
def test_the_language_model_may_be_tuned_too(tmp_path: Path) -> None:
    out, folder = tmp_path / "out.json", write(tmp_path, interactions())
    command = ["evaluate", str(folder), "--models", "recloop", "--seconds", "0.1"]
    result = CliRunner().invoke(app, [*command, "--tuning", "lora", "--out", str(out)])
    assert result.exit_code == 0, result.output
    document = json.loads(out.read_text())
    assert document["models"]["recloop"]["setting"]["tuning"] == "lora"
    assert document["models"]["recloop"]["recall@5"]["value"] > 0.9

    unknown = CliRunner().invoke(app, [*command, "--tuning", "guess", "--out", str(out)])
    assert unknown.exit_code == 1
    assert "tuning" in unknown.output


@pytest.mark.slow
@pytest.mark.usefixtures("small_language_model")
def test_users_with_one_interaction_are_no_training_sequences(tmp_path: Path) -> None:
    table = interactions().filter(~pl.col("timestamp").is_between(1_000_060, 1_000_359))
    assert table.filter(pl.col("split") == "train").group_by("user_id").len()["len"].max() == 1
    out, folder = tmp_path / "out.json", write(tmp_path, table)
    command = ["evaluate", str(folder), "--models", "recloop,sasrec", "--out", str(out)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    models = json.loads(out.read_text())["models"]
    assert models["sasrec"]["setting"]["epochs"] == 0


def random_log(users: int, length: int, catalogue: int) -> InteractionLog:
    """Return random interactions, the same number for each user."""
    items = np.random.default_rng(0).integers(catalogue, size=users * length)
    return make_log(items, np.arange(0, len(items) + 1, length), catalogue)


def make_log(items: np.ndarray, starts: np.ndarray, catalogue: int) -> InteractionLog:
    zeros, ones = np.zeros(len(items), np.int8), np.ones(len(items), np.float32)
    unknown = np.full(len(items), np.nan)
    users = pl.int_range(len(starts) - 1, eager=True)
    columns = (unknown, zeros, unknown.astype(np.float32), ones, zeros, starts, users)
    return InteractionLog(items, *columns, ordered=True, catalogue=catalogue)


def test_large_data_gets_settings_that_fit_the_budget() -> None:
    small = settings_from_data(TrainConfig(seconds=900), random_log(500, 20, 800), texts=0)
    assert (small.epochs, small.negatives, small.share) == (72, 0, 1.0)
    assert small.tower.window == 20
    large = settings_from_data(TrainConfig(seconds=60), random_log(20_000, 50, 9_000), texts=0)
    assert large.negatives > 0
    assert large.epochs == 4
    assert 0 < large.share < 1


def test_a_value_that_is_set_wins_over_the_data() -> None:
    config = TrainConfig(epochs=8, tower=TowerConfig(dim=16, layers=3))
    settings = settings_from_data(config, random_log(500, 20, 800), texts=800)
    assert (settings.epochs, settings.share) == (8, 1.0)
    assert (settings.tower.dim, settings.tower.layers) == (16, 3)
    assert settings.tower.dropout == 0.4  # 12.5 interactions for each item
    assert settings.text_passes == (1, 2)
    assert settings.text.tuning == "lora"


def test_the_command_line_starts_without_pytorch() -> None:
    code = "import sys, recloop.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_click_through_protocol(tmp_path: Path) -> None:
    table = interactions(60).with_columns(label=(pl.col("item_id") % 2).cast(pl.Float64))
    folder, out = write(tmp_path, table), tmp_path / "out.json"
    command = [
        "evaluate",
        str(folder),
        "--protocol",
        "ctr",
        "--models",
        "popularity",
        "--out",
        str(out),
    ]
    assert CliRunner().invoke(app, command).exit_code == 0
    models = json.loads(out.read_text())["models"]
    assert set(models) == {"popularity"}
    # All users click the odd items and no user the even ones, so popularity separates the labels.
    assert models["popularity"]["auc"]["value"] == 1.0


def test_numbers_and_text_as_ids_give_the_same_rows(tmp_path: Path) -> None:
    numbers = read_folder(write(tmp_path, interactions())).interactions
    text = interactions().with_columns(pl.col("user_id", "item_id").cast(pl.String))
    assert read_folder(write(tmp_path, text)).interactions.equals(numbers)


def test_times_that_are_missing_leave_the_order_to_pos_or_to_nobody(tmp_path: Path) -> None:
    table = interactions(2).with_columns(timestamp=pl.lit(-1), pos=pl.int_range(pl.len()))
    placed = read_folder(write(tmp_path, table))
    assert placed.ordered
    assert placed.interactions["timestamp"].null_count() == 16
    unordered = read_folder(write(tmp_path, table.drop("pos")))
    assert not unordered.ordered
    requests = make_requests(unordered, group_by_time=False, repeats=False)
    assert [len(history) for history in requests.histories] == [7, 7]


def test_milliseconds_and_datetimes_become_seconds(tmp_path: Path) -> None:
    seconds = interactions().with_columns(pl.col("timestamp") + 1_600_000_000)
    wanted = read_folder(write(tmp_path, seconds)).interactions
    thousand = seconds.with_columns(pl.col("timestamp") * 1000)
    assert read_folder(write(tmp_path, thousand)).interactions.equals(wanted)
    datetimes = seconds.with_columns(pl.from_epoch("timestamp"))
    assert read_folder(write(tmp_path, datetimes)).interactions.equals(wanted)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop("split"), "no column split"),
        (lambda t: t.filter(pl.col("split") != "valid"), "no row has split valid"),
        (lambda t: t.with_columns(split=pl.lit("dev")), "found dev"),
        (lambda t: t.with_columns(pl.col("user_id").cast(pl.Float64)), "not whole numbers"),
        (lambda t: t.with_columns(item_id=pl.lit(None, pl.Int64)), "rows without item_id"),
        (lambda t: t.clear(), "is empty"),
        (lambda t: t.with_columns(label=pl.lit("yes")), "label is String"),
        (lambda t: t.with_columns(weight=pl.lit(-1.0)), "weight is negative"),
    ],
)
def test_a_bad_folder_is_an_error_that_names_the_problem(
    tmp_path: Path, change, message: str
) -> None:
    write(tmp_path, interactions())
    change(interactions()).write_parquet(tmp_path / "interactions.parquet")
    with pytest.raises(FolderError, match=message):
        read_folder(tmp_path)
    result = CliRunner().invoke(app, ["evaluate", str(tmp_path)])
    assert result.exit_code == 1


def test_categorical_ids_are_read_as_strings(tmp_path: Path) -> None:
    ids = pl.col("user_id", "item_id").cast(pl.String)
    wanted = read_folder(write(tmp_path, interactions().with_columns(ids)))
    table = interactions().with_columns(ids.cast(pl.Categorical))
    table.write_parquet(tmp_path / "interactions.parquet")
    assert read_folder(tmp_path).interactions.equals(wanted.interactions)


def test_results_that_cannot_be_written_are_printed(tmp_path: Path) -> None:
    command = ["evaluate", str(write(tmp_path, interactions())), "--models", "popularity"]
    result = CliRunner().invoke(app, [*command, "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert set(json.loads(result.stdout)["models"]) == {"popularity"}
    assert "cannot be written" in result.stderr


def test_no_folder_and_no_parquet(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="does not exist"):
        read_folder(tmp_path / "nowhere")
    write(tmp_path, interactions())
    tmp_path.joinpath("items.parquet").write_text("no parquet")
    with pytest.raises(FolderError, match="cannot be read"):
        read_folder(tmp_path)
    with pytest.raises(ValueError, match="unknown models gorse"):
        parse_models("recloop,gorse", "next-item")


def test_a_temporal_request_holds_a_users_items_of_one_time(tmp_path: Path) -> None:
    table = pl.DataFrame(
        {
            "user_id": [1] * 6,
            "item_id": [0, 1, 2, 3, 4, 0],
            "timestamp": [10, 20, 30, 30, 40, 50],
            "split": ["train", "valid", "test", "test", "test", "test"],
        }
    )
    data = read_folder(write(tmp_path, table))
    without_repeats = make_requests(data, group_by_time=True, repeats=False)
    assert [rows.tolist() for rows in without_repeats.histories] == [[0, 1], [0, 1, 2, 3]]
    assert [rows.tolist() for rows in without_repeats.relevant] == [[2, 3], [4]]
    with_repeats = make_requests(data, group_by_time=True, repeats=True)
    assert [rows.tolist() for rows in with_repeats.relevant] == [[2, 3], [4], [0]]
    per_interaction = make_requests(data, group_by_time=False, repeats=True)
    assert len(per_interaction.histories) == 4
    assert data.log(repeats=True).until(VALID_PART).items.tolist() == [0]


def test_a_folder_without_new_test_items_is_an_error(tmp_path: Path) -> None:
    repeated = interactions().with_columns(
        item_id=pl.when(pl.col("split") == "test")
        .then(pl.col("user_id") % ITEMS)
        .otherwise("item_id")
    )
    folder = str(write(tmp_path, repeated))
    result = CliRunner().invoke(app, ["evaluate", folder, "--mask-seen", "--models", "popularity"])
    assert result.exit_code == 1
    assert "no requests" in " ".join(result.stderr.split())


def test_ials_finds_the_two_tastes() -> None:
    tastes = np.array([[1, 1, 1, 0, 0, 0]] * 5 + [[0, 0, 0, 1, 1, 1]] * 5, np.float32)
    model = fit_ials(sparse.csr_matrix(tastes), ImplicitALSConfig(dim=4), 1.0)
    scores = model.score([np.array([0, 1]), np.array([4]), np.empty(0, np.int64)])
    assert scores[0, 2] > scores[0, 3:].max()
    assert scores[1, [3, 5]].min() > scores[1, :3].max()
    assert (scores[2] == 0).all()


@pytest.mark.parametrize("seen", [1, 4, 5, 30], ids=lambda seen: f"{seen} of 40")
def test_short_and_long_histories_get_the_same_solution(seen: int) -> None:
    """At the solution the gradient of the weighted squares is zero, whichever solver found it."""
    rng = np.random.default_rng(seen)
    config, factors = ImplicitALSConfig(dim=8), rng.normal(size=(40, 8)).astype(np.float32)
    weights = np.zeros(40, np.float32)
    weights[rng.choice(40, seen, replace=False)] = rng.uniform(0.5, 2, seen)
    fixed = LeastSquares(factors, config)
    (solution,) = fixed.solve(sparse.csr_matrix(weights[None]))
    unobserved = config.unobserved * factors.T @ (factors @ solution)
    ridge = config.l2 * (weights.sum() + config.unobserved * 40) * solution
    gradient = factors.T @ (weights * (factors @ solution - 1)) + unobserved + ridge
    assert gradient == pytest.approx(np.zeros(8), abs=1e-4)


def test_recent_popularity_ignores_later_events() -> None:
    day = 86_400.0
    model = RecentPopularity(np.array([0, 0, 1]), np.array([0.0, day, 9 * day]), 2, half_life=day)
    early, late, unknown = model.score(np.array([2 * day, 10 * day, np.nan]))
    assert early[1] == 0
    assert late[1] > late[0]
    assert (unknown == late).all()


def test_repeat_counts_with_recency() -> None:
    (scores,) = RepeatConsumption(3, decay=0.5).score([np.array([0, 1, 1])])
    assert scores[1] > scores[0] > scores[2] == 0


def test_the_conditional_logit_weights_the_signal_and_drops_its_opposite() -> None:
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(200, 5))
    targets = np.eye(5, dtype=np.float32)[signal.argmax(1)]
    choices = np.stack([signal, -signal, rng.normal(size=(200, 5))], 2).astype(np.float32)
    choices[:, 4] = np.where(targets[:, 4:] > 0, choices[:, 4], -np.inf)
    weights = fit_conditional_logit(Choices.from_padded(choices, targets))
    assert weights[0] > 1
    assert weights[1] == 0
    assert weights[2] < 0.5


def test_the_language_model_is_tuned_if_items_have_few_interactions() -> None:
    def tuning(rows: int, texts: int) -> str:
        log = make_log(np.arange(rows) % 100, np.array([0, rows]), 100)
        return settings_from_data(TrainConfig(), log, texts).text.tuning

    assert tuning(500, 100) == "lora"
    assert tuning(5_000, 100) == "frozen"
    assert tuning(500, 40_000) == "frozen"
