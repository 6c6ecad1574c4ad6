"""Random requests of many kinds for the HTTP API, the same ones for the same seed."""

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from urllib.parse import quote

from benchmarks.versions.request_parts import Json, RequestParts
from benchmarks.versions.snapshot import Item, Snapshot

RECOMMEND = "/v1/recommend"
_POPULAR = "/v1/popular"

_LIST_LENGTHS = (10, 10, 10, 1, 5, 20, 50, 100)
# Shares of requests that ask for explanations, and that hold the time of the request.
_EXPLAINED, _TIMED = 0.5, 0.8
# Bodies that do not fit the API.
_UNFIT: tuple[Json, ...] = (
    {"k": 0},
    {"k": 101},
    {"colour": "red"},
    {"arm": "no-such-arm"},
    {"diversity": 1.5},
    {"filters": {"ranges": {"year": {}}}},
    {"quotas": [{"category": "Drama", "at_least": 3, "at_most": 1}]},
    {"boosts": [{"factor": 2.0}]},
    {"context": {"timestamp": "1998-01-01T00:00:00"}},
)


@dataclass(frozen=True)
class Request:
    """One HTTP request; `kind` is the group under which its result is counted."""

    kind: str
    method: str
    path: str
    body: Json | None = None
    params: Json = field(default_factory=dict)

    def document(self) -> Json:
        """Return the request as JSON, for the recording."""
        return asdict(self)


class RequestMix:
    """Generator of mixed requests; `live` and `active` are as in `RequestParts`."""

    def __init__(
        self,
        snapshot: Snapshot,
        rng: random.Random,
        live: Sequence[Item] = (),
        active: Sequence[str] = (),
    ) -> None:
        self._rng = rng
        self._parts = parts = RequestParts(snapshot, rng, live, active)
        # The weight of each kind, and what makes the body of a request to recommend.
        self._bodies: dict[str, tuple[int, Callable[[], Json]]] = {
            "known user": (14, parts.user),
            "nobody": (3, parts.nobody),
            "session": (12, parts.new_user),
            "known user with session": (8, lambda: parts.user() | parts.session()),
            "query, title": (6, lambda: parts.anybody() | parts.title()),
            "query, part of a title": (6, lambda: parts.anybody() | parts.part_of_title()),
            "query, free text": (8, lambda: parts.anybody() | parts.free_text()),
            "filters": (10, lambda: parts.anybody() | parts.filters()),
            "exclusions": (4, lambda: parts.anybody() | parts.exclusions()),
            "boosts": (5, lambda: parts.anybody() | parts.boosts()),
            "quotas": (5, lambda: parts.anybody() | parts.quotas()),
            "diversity": (4, lambda: parts.anybody() | parts.diversity()),
            "calibration": (4, lambda: parts.anybody() | parts.calibration()),
            "combined": (6, parts.combined),
        }
        # The same of other requests.
        self._others: dict[str, tuple[int, Callable[[], Request]]] = {
            "similar": (8, self._similar),
            "popular": (4, self._popular),
            "refused": (3, self._refused),
        }

    def take(self, count: int) -> list[Request]:
        """Return the next `count` requests."""
        kinds = {**self._bodies, **self._others}
        weights = [weight for weight, _ in kinds.values()]
        return [self._request(kind) for kind in self._rng.choices(list(kinds), weights, k=count)]

    def _request(self, kind: str) -> Request:
        if kind in self._others:
            return self._others[kind][1]()
        body = self._bodies[kind][1]() | {"k": self._rng.choice(_LIST_LENGTHS)}
        if self._parts.chance(_EXPLAINED):
            body["explain"] = True
        if self._parts.chance(_TIMED):
            body["context"] = {"timestamp": self._parts.moment()}
        return Request(kind, "POST", RECOMMEND, body)

    def _similar(self) -> Request:
        path = f"/v1/items/{quote(self._parts.item().item_id, safe='')}/similar"
        return Request("similar", "GET", path, params=self._listing())

    def _popular(self) -> Request:
        return Request("popular", "GET", _POPULAR, params=self._listing())

    def _listing(self) -> Json:
        params: Json = {"k": self._rng.choice(_LIST_LENGTHS)}
        if self._parts.chance(0.3):
            params["category"] = self._parts.category()
        if self._parts.chance(0.3):
            params |= self._parts.exclude()
        if self._parts.chance(0.3):
            params |= self._parts.user()
        return params

    def _refused(self) -> Request:
        if self._parts.chance(0.2):
            return Request("refused", "GET", "/v1/items/no-such-item/similar")
        return Request("refused", "POST", RECOMMEND, self._parts.user() | self._rng.choice(_UNFIT))
