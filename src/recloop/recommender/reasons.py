"""Why an item is in a list, in sentences: what each channel added to its score, and what it is like."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recloop.columns import Event
from recloop.data.trail import EVENT_NUMBERS
from recloop.models.blend import COLLABORATIVE, LOW_RANK, NEIGHBOURS, POPULARITY, QUERY
from recloop.models.query import TITLE
from recloop.models.scorer import recency_weights

BOOST = "boost"

HISTORY, AGAIN, ASKED, POPULAR, PROMOTED = "history", "again", "query", "popular", "promoted"

# Below this share of all that speaks for an item, something is no reason to be told.
_LEAST_SHARE = 0.15
_MOST_STEPS = 10
_DECAY = 0.9
_TREND = "trend-"
_ITEM_ITEM = frozenset({COLLABORATIVE, NEIGHBOURS, LOW_RANK})
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
_VERBS = {EVENT_NUMBERS[event]: verb for event, verb in _DID.items()}

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Reason:
    """A `code` for machines, a sentence for people; `item_id`: the item of the history that it is about."""

    code: str
    text: str
    item_id: str | None = None


@dataclass(frozen=True)
class Step:
    """One of the last things done.

    Of the items of a list, `(k,)`: how far people meet them with this one, how like it their texts are.
    """

    item_id: str
    title: str
    event: int
    together: Floats
    alike: Floats

    @property
    def did(self) -> str:
        """What was done with which item."""
        verb = _VERBS.get(self.event, "looked at")
        return verb.format(self.title) if "{}" in verb else f"{verb} {self.title}"


def recent(rows: NDArray[np.int64]) -> slice:
    """Which of a history's items can be a reason."""
    return slice(max(0, len(rows) - _MOST_STEPS), len(rows))


def reasons(
    item_id: str, place: int, contributions: Mapping[str, float], steps: Sequence[Step]
) -> tuple[Reason, ...]:
    """Of the item in this place, the strongest first; none where nothing speaks for it.

    What a channel added because of the history is shared out among its last steps: of item-item channels
    by what people meet together, of the others by the likeness of texts, both fading with the steps since.
    """
    added = {name: max(0.0, value) for name, value in contributions.items()}
    found = [
        (added.get(QUERY, 0.0) + added.get(TITLE, 0.0), Reason(ASKED, "Matches your query")),
        (sum(v for name, v in added.items() if _popular(name)), _famous(added)),
        (added.get(BOOST, 0.0), Reason(PROMOTED, "Promoted")),
    ]
    personal = {n: v for n, v in added.items() if n not in _OTHERS and not _popular(n)}
    if steps:
        found.append((sum(personal.values()), _because(item_id, place, personal, steps)))
    total = sum(strength for strength, _ in found)
    told = [each for each in found if each[0] > 0 and each[0] >= _LEAST_SHARE * total]
    return tuple(reason for _, reason in sorted(told, key=lambda each: -each[0]))


def _because(
    item_id: str, place: int, personal: Mapping[str, float], steps: Sequence[Step]
) -> Reason:
    fading = recency_weights(len(steps), _DECAY)
    collaborative = sum(value for name, value in personal.items() if name in _ITEM_ITEM)
    other = sum(personal.values()) - collaborative
    together = np.array([step.together[place] for step in steps], np.float32)
    alike = np.array([step.alike[place] for step in steps], np.float32)
    said = collaborative * _shares(fading, together) + other * _shares(fading, alike)
    step = steps[int(said.argmax())]
    if step.item_id == item_id:
        return Reason(AGAIN, f"You {step.did} before", step.item_id)
    return Reason(HISTORY, f"Because you {step.did}", step.item_id)


def _shares(fading: Floats, likeness: Floats) -> Floats:
    """Adding up to one; by recency alone where nothing is alike."""
    shares = fading * np.maximum(likeness, 0)
    shares = shares if shares.any() else fading
    return np.asarray(shares / shares.sum(), np.float32)


def _popular(name: str) -> bool:
    return name == POPULARITY or name.startswith(_TREND)


def _famous(added: Mapping[str, float]) -> Reason:
    lately = sum(value for name, value in added.items() if name.startswith(_TREND))
    now = lately >= added.get(POPULARITY, 0.0)
    return Reason(POPULAR, "Popular now" if now else "Popular with many people")
