"""How likely a policy was to draw a list that is there already."""

from collections.abc import Sequence
from typing import Literal, cast

import numpy as np

from recloop.recommender.explore import Counts, Draw, Exploring, Floats, Places, Policy
from recloop.recommender.shape import POOL


class Following(Exploring):
    """Draws these items one after the other, each with the propensity that another policy gives it.

    That is 0 for an item that may not come next; from there on it is 0.
    """

    kind: Literal["following"] = "following"
    items: tuple[str, ...]
    policy: Policy

    def draws(self, ids: Sequence[str], counts: Counts) -> Draw:
        """For one list; it is drawn place by place."""
        odds, place = self.policy.odds(ids, counts), {item: row for row, item in enumerate(ids)}
        left, lost = iter(self.items), False

        def draw(useful: Floats, places: Places, _: np.random.Generator) -> tuple[int, float]:
            nonlocal lost
            (found,) = np.nonzero(places == place.get(next(left, ""), -1))
            lost = lost or not len(found)
            if lost:
                return 0, 0.0
            return int(found[0]), odds(useful, places, int(found[0]))

        return draw


def following(items: Sequence[str], policy: Policy) -> Policy:
    """The policy that draws this list, with the propensities of `policy`."""
    pool = policy.pool if isinstance(policy, Exploring) else POOL
    # Of the form of the others, but nothing that a file of settings may name.
    return cast("Policy", Following(pool=pool, items=tuple(items), policy=policy))
