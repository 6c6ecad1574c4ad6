"""Steps common to all peers: read the folder, tune on validation data, refit, write lists.

This module runs in the peers' environments with numpy, pandas and pyarrow, without recloop. The
metric for choosing settings is computed here. Published metrics are computed by recloop.
"""

import argparse
import contextlib
import json
import platform
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

DEPTH = 20

Setting = dict[str, Any]
Lists = list[list[Any]]
# `(requests, items)`.
Scores = NDArray[np.float32]


class Ranker(Protocol):
    """Fitted peer."""

    def rank(self, requests: pd.DataFrame, mask: bool) -> Lists:
        """Return at most `DEPTH` item ids per request, best first; `mask` excludes the history."""


@dataclass
class Fitted:
    """Fitted ranker, the settings for its refit (such as the number of epochs), and notes."""

    ranker: Ranker
    setting: Setting
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Validation:
    """Validation requests for peers that stop early; there are none in the refit on all data."""

    requests: pd.DataFrame
    mask: bool

    def ndcg(self, ranker: Ranker) -> float:
        """Return the mean NDCG@10 of a ranker on these requests."""
        return ndcg_at_10(ranker.rank(self.requests, self.mask), self.requests["relevant"])


Fit = Callable[[pd.DataFrame, Setting, Validation | None], Fitted]


@dataclass(frozen=True)
class Peer:
    """Function that fits one model, and the settings among which validation chooses."""

    fit: Fit
    grid: list[Setting]


def ndcg_at_10(lists: Lists, relevant: Iterable[Collection[Any]]) -> float:
    """Return mean NDCG@10 with binary relevance, normalised by the achievable gain."""
    discount = 1.0 / np.log2(np.arange(2, 12))
    values = []
    for ranked, items in zip(lists, relevant, strict=True):
        good = set(items)
        gain = sum(discount[rank] for rank, item in enumerate(ranked[:10]) if item in good)
        values.append(gain / discount[: len(good)].sum() if good else 0.0)
    return float(np.mean(values))


def read_interactions(folder: Path) -> pd.DataFrame:
    """Return user_id, item_id and split of the positive rows, oldest first within each user.

    Rows are ordered by `pos`, otherwise by `timestamp`, otherwise as in the file. Of repeated pairs
    the first is kept. Rows with `label` 0 are not positive; `weight` is not used.
    """
    rows = pd.read_parquet(folder / "interactions.parquet")
    if "label" in rows:
        rows = rows[rows["label"] > 0]
    order = [name for name in ("pos", "timestamp") if name in rows][:1]
    rows = rows.sort_values(order, kind="stable") if order else rows
    rows = rows.drop_duplicates(["user_id", "item_id"])
    return rows[["user_id", "item_id", "split"]].reset_index(drop=True)


def history_cells(requests: pd.DataFrame, items: pd.Index) -> tuple[Any, Any]:
    """Return rows and columns of the histories in a matrix of requests and items.

    Items that are not in `items` are left out.
    """
    long = requests["history"].reset_index(drop=True).explode().dropna()
    columns = items.get_indexer(pd.Index(long.to_numpy(), dtype=items.dtype))
    rows = long.index.to_numpy()
    return rows[columns >= 0], columns[columns >= 0]


def top_items(scores: Scores, items: pd.Index, seen: tuple[Any, Any] | None) -> Lists:
    """Return the `DEPTH` best items of each row, without those whose score is -inf or nan."""
    scores = scores.astype(np.float32)
    if seen is not None:
        scores[seen] = -np.inf
    scores[np.isnan(scores)] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH]
    ids = items.to_numpy()
    return [
        [ids[item] for item in best if np.isfinite(row[item])]
        for row, best in zip(scores, order, strict=True)
    ]


def run(peers: dict[str, Peer], packages: list[str]) -> None:
    """Run the command line of one peer's script, in its output folder.

    Some peers write logs to the working directory.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=_absolute, help="interactions.parquet and items.parquet")
    parser.add_argument("--valid", type=_absolute, required=True, help="Requests to tune on.")
    parser.add_argument("--test", type=_absolute, required=True, help="Requests to answer.")
    parser.add_argument(
        "--out", type=_absolute, required=True, help="Folder for NAME.parquet and NAME.json."
    )
    parser.add_argument("--model", choices=sorted(peers), required=True)
    parser.add_argument("--mask-seen", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--settings", type=int, help="Number of settings of the grid to try.")
    given = parser.parse_args()
    with contextlib.chdir(given.out):
        report = _tune_and_rank(peers[given.model], given)
    report["versions"] = {
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }
    text = json.dumps({"model": given.model, **report}, indent=2, default=float)
    (given.out / f"{given.model}.json").write_text(text + "\n", encoding="utf-8")


def _absolute(path: str) -> Path:
    return Path(path).resolve()


def _tune_and_rank(peer: Peer, given: argparse.Namespace) -> dict[str, Any]:
    interactions = read_interactions(given.folder)
    train = interactions[interactions["split"] == "train"]
    before_test = interactions[interactions["split"] != "test"]
    started = time.perf_counter()
    validation = Validation(pd.read_parquet(given.valid), given.mask_seen)
    chosen, tried = _tune(peer.fit, peer.grid[: given.settings], train, validation)
    tuned = time.perf_counter()
    cpu_seconds = time.process_time()
    final = peer.fit(before_test, chosen.setting, None)
    trained, cpu_seconds = time.perf_counter(), time.process_time() - cpu_seconds
    test = pd.read_parquet(given.test)
    lists = final.ranker.rank(test, given.mask_seen)
    ended = time.perf_counter()
    pd.DataFrame({"request": test["request"], "ranked": lists}).to_parquet(
        given.out / f"{given.model}.parquet"
    )
    return {
        "settings": chosen.setting,
        "tried": tried,
        "mask_seen": given.mask_seen,
        "tuning_seconds": tuned - started,
        "train_seconds": trained - tuned,
        "train_cpu_seconds": cpu_seconds,
        "recommend_seconds": ended - trained,
        **chosen.notes,
    }


def _tune(
    fit: Fit, grid: list[Setting], train: pd.DataFrame, validation: Validation
) -> tuple[Fitted, list[dict[str, Any]]]:
    best: tuple[float, Fitted] | None = None
    tried = []
    for setting in grid:
        started = time.perf_counter()
        fitted = fit(train, setting, validation)
        seconds = time.perf_counter() - started
        quality = validation.ndcg(fitted.ranker)
        tried.append({**fitted.setting, "ndcg@10": quality, "seconds": seconds})
        print(json.dumps(tried[-1], default=float), flush=True)
        if best is None or quality > best[0]:
            best = quality, fitted
    if best is None:
        raise ValueError("the grid is empty")
    return best[1], tried
