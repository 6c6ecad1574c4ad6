"""Requests of the load tests, made of users, items and words of the served model's own data."""

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

from benchmarks.serving.load import Call
from recloop import columns as c
from recloop.config import Home
from recloop.registry.payload import Payload
from recloop.registry.versions import Registry

_EXCLUDED = 10
_WORDS = 3


class Calls:
    """Endless streams of requests of each kind, the same for the same seed."""

    def __init__(self, payload: Payload, seed: int = 1) -> None:
        self._random = random.Random(seed)  # noqa: S311 - not used for secrets
        self._users = payload.users[c.USER].to_list()
        self._items = payload.items[c.ITEM].to_list()
        categories = payload.items[c.CATEGORIES].explode().drop_nulls()
        self._categories = categories.unique(maintain_order=True).to_list()
        titles = payload.items[c.TITLE].drop_nulls().to_list()
        self._words = sorted({word for title in titles for word in title.split()})

    def user_requests(self) -> Iterator[Call]:
        """Yield requests of known users: ten items of three categories, with ten exclusions."""
        while True:
            filters = {"categories": self._some(self._categories, 3)}
            body = {"user_id": self._random.choice(self._users), "k": 10, "filters": filters}
            body["exclude"] = self._some(self._items, _EXCLUDED)
            yield Call("/v1/recommend", body)

    def query_requests(self) -> Iterator[Call]:
        """Yield requests of a known user with a query that was not sent before."""
        for number, call in enumerate(self.user_requests()):
            query = " ".join([*self._some(self._words, _WORDS), str(number)])
            body = {"user_id": call.body["user_id"], "k": 10, "query": query}
            yield Call(call.path, body)

    def texts(self) -> Iterator[str]:
        """Yield texts of about twenty words, for new items."""
        while True:
            yield " ".join(self._some(self._words, 20))

    def mixed_with_events(self) -> Iterator[Call]:
        """Yield the requests of `user_requests`, with a click event in place of one in five."""
        for call in self.user_requests():
            yield self._click() if self._random.random() < 0.2 else call  # noqa: PLR2004

    def _click(self) -> Call:
        event = {
            "event_id": uuid.uuid4().hex,
            "user_id": self._random.choice(self._users),
            "item_id": self._random.choice(self._items),
            "timestamp": datetime.now(UTC).isoformat(),
            "event": c.Event.CLICK.value,
        }
        return Call("/v1/events", {"events": [event]})

    def _some(self, values: list[str], count: int) -> list[str]:
        return self._random.sample(values, min(count, len(values)))


def champion_version(home: Home) -> str:
    """Return the version of the champion.

    Raises:
        LookupError: There is no champion.
    """
    champion = Registry(home).champion()
    if champion is None:
        raise LookupError("the copy has no champion")
    return champion.version


def served_payload(home: Home) -> Payload:
    """Return the payload of the champion."""
    return Payload.load(Registry(home).path(champion_version(home)) / "model")
