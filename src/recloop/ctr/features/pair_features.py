"""Features of (user, item) pairs, computed from a state and the users' histories."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from recloop.ctr.features.past_state import State
from recloop.ctr.features.user_histories import Histories, Timeline
from recloop.ctr.log import Floats, Log, Mask
from recloop.ctr.models.factors import products

_CHUNK = 4_000
_LASTS = (3, 10, 60)


def describe(state: State, rows: Log, visible: Log | None = None) -> Mapping[str, Floats]:
    """Return features of rows by name, `(rows,)` float32 each; NaN if undefined.

    No label or item of `rows` affects the features of another row, unless `visible` has it with a
    strictly smaller order.

    Args:
        state: Statistics and models of the past.
        rows: Rows to describe.
        visible: Rows that histories may hold; the past if not given.
    """
    timeline = Timeline(state, visible)
    parts = [
        _describe(state, timeline, rows.take(np.arange(start, min(start + _CHUNK, len(rows)))))
        for start in range(0, len(rows), _CHUNK)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _describe(state: State, timeline: Timeline, rows: Log) -> dict[str, Floats]:
    users, items, bias = rows.users, rows.items, state.bias
    history = timeline.before(rows, state.config.history)
    found = {
        "bias": bias.logits(users, items),
        "bias_user": bias.user[users],
        "bias_item": bias.item[items],
        "factors": products(state.user_factors, state.item_factors, users, items),
        "gap": np.log1p(np.maximum(rows.order - state.newest[users], 0)),
        "visible": history.size,
        **{f"user_{name}": values[users] for name, values in state.users.items()},
        **{f"item_{name}": values[items] for name, values in state.items.items()},
        **_recent(history),
    }
    again = history.items == items[:, None]
    found |= {"again": again.sum(1), "again_label": _mean(history.labels, again)}
    for name, similarity in state.similarities.items():
        near = _neighbours(similarity(items, history.items), history)
        found |= {f"{name}_{kind}": values for kind, values in near.items()}
    return {name: np.asarray(values, np.float32) for name, values in found.items()}


def _recent(history: Histories) -> dict[str, NDArray[np.floating]]:
    """Return the user's mean residuals and labels over the last rows, `(rows,)` each."""
    filled = history.items >= 0
    found: dict[str, NDArray[np.floating]] = {}
    for last in _LASTS:
        count = filled[:, :last].sum(1)
        found[f"last{last}_left"] = history.left[:, :last].sum(1) / (count + 1.0)
        found[f"last{last}_item_residual"] = history.item_residual[:, :last].sum(1) / (count + 2.0)
        found[f"last{last}_label"] = _mean(history.labels[:, :last], filled[:, :last])
    return found


def _neighbours(similar: Floats, history: Histories) -> dict[str, NDArray[np.floating]]:
    """Return features of similarities between candidate and history items, `(rows, length)`."""
    filled = history.items >= 0
    similar = np.where(filled, similar, 0.0)
    liked, disliked = filled & (history.labels > 0), filled & (history.labels <= 0)
    near = np.maximum(similar, 0.0)
    sharp = near**3
    to_liked, to_disliked = _mean(similar, liked), _mean(similar, disliked)
    return {
        "signed": (similar * history.left).sum(1),
        "weighted": (near * history.left).sum(1) / (near.sum(1) + 1.0),
        "sharp": (sharp * history.left).sum(1) / (sharp.sum(1) + 0.1),
        "item_residual": (sharp * history.item_residual).sum(1) / (sharp.sum(1) + 0.1),
        "liked": to_liked,
        "disliked": to_disliked,
        "preference": to_liked - to_disliked,
        "liked_most": _most(similar, liked),
        "disliked_most": _most(similar, disliked),
        "last": np.where(filled[:, 0], similar[:, 0], np.nan),
        "near": near.sum(1),
    }


def _most(similar: Floats, which: Mask) -> Floats:
    most: Floats = np.where(which, similar, -np.inf).max(1)
    return np.where(np.isfinite(most), most, np.float32(np.nan))


def _mean(values: Floats, which: Mask) -> NDArray[np.floating]:
    """Return the mean of each row's chosen values, `(rows,)`; NaN if none is chosen.

    Args:
        values: Values, `(rows, length)`.
        which: Whether a value is chosen, `(rows, length)`.
    """
    count = which.sum(1)
    total = np.where(which, values, 0).sum(1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
