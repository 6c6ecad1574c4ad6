"""Explanations: sentences that tell why an item is in a list, from the channels' contributions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recloop.columns import Event
from recloop.data.user_sequences import EVENT_CODES
from recloop.scoring.blend import EASE, IALS, ITEM_KNN, POPULARITY, QUERY, RECENT_POPULARITY
from recloop.scoring.query.matcher import TITLE
from recloop.scoring.scorer import recency_weights

BOOST = "boost"

HISTORY, AGAIN, MATCHES_QUERY, POPULAR, PROMOTED = (
    "history",
    "again",
    "query",
    "popular",
    "promoted",
)

# Smallest share of an item's positive contributions that makes a reason.
_LEAST_SHARE = 0.15
_MOST_STEPS = 10
_DECAY = 0.9
_ITEM_ITEM = frozenset({EASE, ITEM_KNN, IALS})
_OTHERS = frozenset({QUERY, TITLE, POPULARITY, BOOST})
_DID = {
    Event.PLAY: "played",
    Event.READ: "read",
    Event.PURCHASE: "bought",
    Event.CART: "put {} in your cart",
    Event.RATING: "rated",
    Event.LIKE: "liked",
    Event.CLICK: "looked at",
}
_VERBS = {EVENT_CODES[event]: verb for event, verb in _DID.items()}

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Reason:
    """One reason for an item.

    Attributes:
        code: Kind of reason, for programs.
        text: Sentence for people.
        item_id: Item of the history that the reason is about.
    """

    code: str
    text: str
    item_id: str | None = None


@dataclass(frozen=True)
class HistoryStep:
    """One of the last events of the history, compared with the items of a list.

    Attributes:
        item_id: Item of the event.
        title: Title of the item.
        event: Code of the event type.
        co_occurrence: Co-occurrence with each item of the list, shape `(k,)`.
        text_similarity: Similarity of texts with each item of the list, shape `(k,)`.
    """

    item_id: str
    title: str
    event: int
    co_occurrence: Floats
    text_similarity: Floats

    @property
    def description(self) -> str:
        """Return what the user did with the item, for example "rated Alien"."""
        verb = _VERBS.get(self.event, "looked at")
        return verb.format(self.title) if "{}" in verb else f"{verb} {self.title}"


def explainable_steps(rows: NDArray[np.int64]) -> slice:
    """Return the slice of a history's events that reasons can name: the last ten.

    Args:
        rows: Item rows of the history, shape `(events,)`.
    """
    return slice(max(0, len(rows) - _MOST_STEPS), len(rows))


def explain(
    item_id: str, position: int, contributions: Mapping[str, float], steps: Sequence[HistoryStep]
) -> tuple[Reason, ...]:
    """Return the reasons for one item, strongest first; empty if no contribution is positive.

    What the channels add because of the history is shared among its last steps: for item-item
    channels by co-occurrence, for other channels by similarity of texts. Older steps count less.

    Args:
        item_id: The item.
        position: Position of the item in the list.
        contributions: Contribution of each channel to the item's score.
        steps: Last events of the history, oldest first.
    """
    added = {name: max(0.0, value) for name, value in contributions.items()}
    found = [
        (
            added.get(QUERY, 0.0) + added.get(TITLE, 0.0),
            Reason(MATCHES_QUERY, "Matches your query"),
        ),
        (sum(v for name, v in added.items() if _popular(name)), _famous(added)),
        (added.get(BOOST, 0.0), Reason(PROMOTED, "Promoted")),
    ]
    personal = {n: v for n, v in added.items() if n not in _OTHERS and not _popular(n)}
    if steps:
        found.append((sum(personal.values()), _history_reason(item_id, position, personal, steps)))
    total = sum(strength for strength, _ in found)
    kept = [each for each in found if each[0] > 0 and each[0] >= _LEAST_SHARE * total]
    return tuple(reason for _, reason in sorted(kept, key=lambda each: -each[0]))


def _history_reason(
    item_id: str, position: int, personal: Mapping[str, float], steps: Sequence[HistoryStep]
) -> Reason:
    recency = recency_weights(len(steps), _DECAY)
    collaborative = sum(value for name, value in personal.items() if name in _ITEM_ITEM)
    other = sum(personal.values()) - collaborative
    co_occurrence = np.array([step.co_occurrence[position] for step in steps], np.float32)
    similarity = np.array([step.text_similarity[position] for step in steps], np.float32)
    strength = collaborative * _shares(recency, co_occurrence) + other * _shares(
        recency, similarity
    )
    step = steps[int(strength.argmax())]
    if step.item_id == item_id:
        return Reason(AGAIN, f"You {step.description} before", step.item_id)
    return Reason(HISTORY, f"Because you {step.description}", step.item_id)


def _shares(recency: Floats, similarity: Floats) -> Floats:
    """Return shares of the steps `(steps,)` that sum to 1.

    They follow recency alone if no similarity is positive.
    """
    shares = recency * np.maximum(similarity, 0)
    shares = shares if shares.any() else recency
    return np.asarray(shares / shares.sum(), np.float32)


def _popular(name: str) -> bool:
    return name == POPULARITY or name.startswith(RECENT_POPULARITY)


def _famous(added: Mapping[str, float]) -> Reason:
    lately = sum(value for name, value in added.items() if name.startswith(RECENT_POPULARITY))
    now = lately >= added.get(POPULARITY, 0.0)
    return Reason(POPULAR, "Popular now" if now else "Popular with many people")
