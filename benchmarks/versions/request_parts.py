"""Random parts of requests to the recommend endpoint: users, sessions, queries, filters, rules."""

import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from benchmarks.versions.snapshot import Item, Snapshot

Json = dict[str, Any]

# Seconds from the end of the data to the request: one for each class of gaps that the sequence
# model tells apart, from less than 30 seconds to more than half a year.
_DELAYS = (20, 90, 400, 2_400, 14_000, 40_000, 200_000, 500_000, 2_000_000, 9_000_000, 40_000_000)
_EVENTS = ("click", "play", "rating", "like", "purchase", "cart", "read", "impression")
_NEGATIVE_EVENTS = ("dislike", "hide")
_LENGTHS = (1, 2, 3, 5, 8, 20)
# Queries that match no title, or that hold nothing to match.
_ODD_QUERIES = ("zzgrx qwv", "?!", "電影 喜劇", "COMEDY!!! comedy", "fîlm nöir", "1995")


class RequestParts:
    """Generator of parts of requests, each a part of the JSON body.

    `live` are items that were sent to the service after it started, and `active` are users who sent
    events to it; both are preferred where there are any.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        rng: random.Random,
        live: Sequence[Item] = (),
        active: Sequence[str] = (),
    ) -> None:
        self._snapshot = snapshot
        self._rng = rng
        self._live = live
        self._active = active

    def moment(self) -> str:
        """Return the time of a request, at or after the end of the data."""
        return (self._snapshot.end + timedelta(seconds=self._rng.choice(_DELAYS))).isoformat()

    # ---- users and sessions ----

    def user(self) -> Json:
        """Return a user whom the model or the event store knows."""
        if self._active and self.chance(0.7):
            return {"user_id": self._rng.choice(self._active)}
        return {"user_id": self._rng.choice(self._snapshot.users)}

    def nobody(self) -> Json:
        """Return no user, or one whom the service does not know."""
        unknown = {"user_id": f"stranger-{self._rng.randrange(1_000)}"}
        return {} if self.chance(0.5) else unknown

    def anybody(self) -> Json:
        """Return a known user, an unknown user with a session, or nobody."""
        return self._rng.choice([self.user, self.user, self.new_user, self.nobody])()

    def new_user(self) -> Json:
        """Return no user or an unknown one, with events of the current session."""
        return self.nobody() | self.session()

    def session(self) -> Json:
        """Return events of the current session, all with times or all without."""
        timed, at = self.chance(0.5), self._snapshot.end
        events: list[Json] = []
        for item in self._rng.choices(self._session_items(), k=self._rng.choice(_LENGTHS)):
            at += timedelta(seconds=self._rng.choice((1, 20, 300, 5_000)))
            event: Json = {"item_id": item, "event": self._event()}
            events.append(event | ({"timestamp": at.isoformat()} if timed else {}))
        return {"history": events}

    def _session_items(self) -> Sequence[str]:
        if self._live and self.chance(0.5):
            return [item.item_id for item in self._live]
        if self.chance(0.5):
            return self._snapshot.histories[self._rng.choice(self._snapshot.users)]
        return [*self._snapshot.item_ids, "unknown-item"]

    def _event(self) -> str:
        return self._rng.choice(_NEGATIVE_EVENTS if self.chance(0.2) else _EVENTS)

    # ---- queries ----

    def title(self) -> Json:
        """Return a query that is the title of an item."""
        return {"query": self.item().title}

    def part_of_title(self) -> Json:
        """Return a query of one or two consecutive words of a title, or of the start of one."""
        return {"query": self._words_of_title()}

    def free_text(self) -> Json:
        """Return a query of words from texts and categories; one in ten is unusual."""
        if self.chance(0.1):
            return {"query": self._rng.choice(_ODD_QUERIES)}
        item = self.item()
        categories = " ".join(item.categories[:2]).lower()
        texts = (
            item.text or item.title,
            f"a {categories} film",
            f"{categories} {self._words_of_title()}",
        )
        return {"query": self._rng.choice(texts).strip()}

    def _words_of_title(self) -> str:
        words = self.item().title.split()
        first = self._rng.randrange(len(words))
        part = words[first : first + self._rng.choice((1, 1, 2))]
        return " ".join(part)[: self._rng.choice((4, 60, 60))].strip() or words[0]

    # ---- filters ----

    def filters(self) -> Json:
        """Return one or two conditions that items must meet."""
        kinds: list[Callable[[], Json]] = [self._in_categories, self._in_categories, self._only]
        if self._snapshot.numbers:
            kinds += [self._in_range, self._in_range, self._equal_number]
        if self._snapshot.words:
            kinds.append(self._equal_word)
        if self._live:
            kinds.append(self._published)
        found: Json = {}
        for kind in self._rng.sample(kinds, self._rng.choice((1, 1, 2))):
            found |= kind()
        return {"filters": found}

    def exclusions(self) -> Json:
        """Return items to leave out, by either of the two ways to do so or by both."""
        exclude = self.exclude()
        deny = {"filters": {"deny": self.some(self._snapshot.item_ids, (10, 1_000))}}
        return self._rng.choice([exclude, deny, exclude | deny])

    def exclude(self) -> Json:
        """Return items to leave out."""
        return {"exclude": self.some(self._snapshot.item_ids, (10, 100, 900))}

    def _in_categories(self) -> Json:
        return {"categories": self.some(self._snapshot.categories, (1, 2, 3))}

    def _in_range(self) -> Json:
        name = self._rng.choice(list(self._snapshot.numbers))
        least, most = sorted(self._rng.choices(self._snapshot.numbers[name], k=2))
        bounds = self._rng.choice([{"min": least}, {"max": most}, {"min": least, "max": most}])
        return {"ranges": {name: bounds}}

    def _equal_number(self) -> Json:
        name = self._rng.choice(list(self._snapshot.numbers))
        return {"attributes": {name: self._rng.choices(self._snapshot.numbers[name], k=3)}}

    def _equal_word(self) -> Json:
        name = self._rng.choice(list(self._snapshot.words))
        return {"attributes": {name: self._rng.choice(self._snapshot.words[name])}}

    def _only(self) -> Json:
        only = self.some(self._snapshot.item_ids, (5, 50, 300))
        return {"only": [*only, *(item.item_id for item in self._live[:20])]}

    def _published(self) -> Json:
        year = self._rng.choice((1990, 1996, 1997))
        return {"published_at": {"min": f"{year}-01-01T00:00:00+00:00"}}

    # ---- rules ----

    def boosts(self) -> Json:
        """Return one to three boosts."""
        return {"boosts": [self._boost() for _ in range(self._rng.choice((1, 1, 2, 3)))]}

    def _boost(self) -> Json:
        amount = self._rng.choice([{"factor": 2.0}, {"factor": 0.25}, {"add": 1.5}, {"add": -3.0}])
        targets: list[Json] = [
            {"category": self._rng.choice(self._snapshot.categories)},
            {"item_id": self.item().item_id},
        ]
        if self._snapshot.numbers:
            name = self._rng.choice(list(self._snapshot.numbers))
            value = self._rng.choice(self._snapshot.numbers[name])
            targets.append({"attribute": name, "value": value})
        return self._rng.choice(targets) | amount

    def quotas(self) -> Json:
        """Return one or two quotas."""
        limits = [{"at_least": 2}, {"at_most": 1}, {"at_least": 1, "at_most": 3}, {"at_most": 0}]
        names = self.some(self._snapshot.categories, (1, 1, 2))
        return {"quotas": [{"category": name} | self._rng.choice(limits) for name in names]}

    def diversity(self) -> Json:
        """Return a degree of diversity."""
        return {"diversity": self._degree()}

    def calibration(self) -> Json:
        """Return a degree of calibration."""
        return {"calibration": self._degree()}

    def combined(self) -> Json:
        """Return two to four different parts of one request."""
        parts = [
            self.filters,
            self.boosts,
            self.quotas,
            self.diversity,
            self.calibration,
            self.free_text,
            self.exclude,
            self.session,
        ]
        found = self.anybody()
        for part in self._rng.sample(parts, self._rng.choice((2, 3, 4))):
            found |= part()
        return found

    def _degree(self) -> float:
        return self._rng.choice((0.1, 0.3, 0.5, 0.9, 1.0))

    # ---- simple draws ----

    def item(self) -> Item:
        """Return any item."""
        if self._live and self.chance(0.4):
            return self._rng.choice(self._live)
        return self._rng.choice(self._snapshot.items)

    def category(self) -> list[str]:
        """Return one or two categories."""
        return self.some(self._snapshot.categories, (1, 2))

    def some(self, values: Sequence[str], counts: Sequence[int]) -> list[str]:
        """Return a sample of distinct values, of one of these sizes."""
        return self._rng.sample(values, min(len(values), self._rng.choice(counts)))

    def chance(self, share: float) -> bool:
        """Return whether an event of this probability happens."""
        return self._rng.random() < share
