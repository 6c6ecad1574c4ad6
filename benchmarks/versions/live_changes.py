"""Changes of the catalogue and events of users that are sent to a running service.

All times are fixed. Dates of publication and expiry lie years before today or decades after it, so
that it does not matter on which day the requests are sent.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from benchmarks.versions.request_mix import Request
from benchmarks.versions.request_parts import Json
from benchmarks.versions.snapshot import Item, Snapshot

_EVENTS_PATH = "/v1/events"

_PAST, _LONG_PAST = "1996-06-01T00:00:00+00:00", "1950-01-01T00:00:00+00:00"
_FAR_FUTURE = "2150-01-01T00:00:00+00:00"
# What limits the availability of new items; most have no limit.
_AVAILABILITY: tuple[Json, ...] = (
    {},
    {},
    {},
    {"published_at": _PAST},
    {"published_at": _PAST, "expires_at": _FAR_FUTURE},
    {"published_at": _LONG_PAST, "expires_at": _PAST},
    {"published_at": _FAR_FUTURE},
    {"available": False},
)
_EVENT_KINDS = ("click", "play", "rating", "like", "purchase", "impression", "dislike", "hide")
_BATCH = 50


@dataclass(frozen=True)
class ItemChange:
    """One upsert. `awaited`: whether the service has to encode a new text before it serves it."""

    item: Item
    body: Json
    awaited: bool


def new_items(snapshot: Snapshot, rng: random.Random, count: int) -> list[ItemChange]:
    """Return upserts of new items, with texts and categories of existing ones."""
    changes = []
    for number in range(count):
        similar, other = rng.sample(snapshot.items, 2)
        item = Item(
            item_id=f"new/item {number}",
            title=f"{similar.title} {_unusual(number)}",
            text=f"{similar.text or similar.title}. {other.title}.",
            categories=similar.categories,
            attributes=similar.attributes,
        )
        body = _body(item) | _AVAILABILITY[number % len(_AVAILABILITY)]
        changes.append(ItemChange(item, body, awaited=True))
    return changes


def changed_items(snapshot: Snapshot, rng: random.Random, count: int) -> list[ItemChange]:
    """Return upserts of existing items: with another text, other categories, or unavailable."""
    changes = []
    for number, item_before in enumerate(rng.sample(snapshot.items, count)):
        other = rng.choice(snapshot.items)
        change = ("text", "categories", "availability")[number % 3]
        renamed = change == "text"
        item = Item(
            item_id=item_before.item_id,
            title=f"{_unusual(number)} {_unusual(number + 1)}" if renamed else item_before.title,
            text=other.text if renamed else item_before.text,
            categories=other.categories if change == "categories" else item_before.categories,
            attributes=item_before.attributes,
        )
        body = _body(item) | {"available": change != "availability"}
        changes.append(ItemChange(item, body, awaited=renamed))
    return changes


def event_batches(
    snapshot: Snapshot, rng: random.Random, live: Sequence[Item]
) -> tuple[list[Request], list[str]]:
    """Return batches of events, one of them twice, and the ids of the users who sent them."""
    existing = rng.sample(snapshot.users, min(120, len(snapshot.users)))
    users = [*existing, *(f"new-user-{number}" for number in range(40))]
    items = [*snapshot.item_ids, *[item.item_id for item in live] * 10, "unknown-item"]
    events: list[Json] = []
    for user in users:
        at = snapshot.end
        for _ in range(rng.choice((1, 2, 4, 12))):
            at += timedelta(seconds=rng.choice((1, 40, 600, 90_000)))
            event = {
                "event_id": f"event-{len(events)}",
                "user_id": user,
                "item_id": rng.choice(items),
                "timestamp": at.isoformat(),
                "event": rng.choice(_EVENT_KINDS),
            }
            events.append(event | ({"value": 4.0} if event["event"] == "rating" else {}))
    rng.shuffle(events)
    batches = [events[first : first + _BATCH] for first in range(0, len(events), _BATCH)]
    batches.append(batches[0])
    return [Request("events", "POST", _EVENTS_PATH, {"events": batch}) for batch in batches], users


def _body(item: Item) -> Json:
    return {
        "item_id": item.item_id,
        "title": item.title,
        "text": item.text,
        "categories": list(item.categories),
        "attributes": dict(item.attributes) or None,
    }


def _unusual(number: int) -> str:
    """Return a word that is in no title."""
    syllables = ("quo", "zel", "vrix", "mbar", "ojk", "tsu", "phle", "gnar")
    first, second = divmod(number, len(syllables))
    return f"{syllables[first % len(syllables)]}{syllables[second]}x".capitalize()
