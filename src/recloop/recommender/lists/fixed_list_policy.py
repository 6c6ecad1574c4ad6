"""Policy that reproduces an existing list, for off-policy evaluation."""

from collections.abc import Sequence
from typing import Literal, cast

import numpy as np

from recloop.recommender.lists.exploration import (
    ExploringPolicy,
    Floats,
    ItemCounts,
    Policy,
    Positions,
    Sampler,
)
from recloop.recommender.lists.list_builder import POOL


class FixedListPolicy(ExploringPolicy):
    """Draws the given items in order, with the propensities of another policy.

    The propensity is 0 from the first item on that may not come next.
    """

    kind: Literal["following"] = "following"
    items: tuple[str, ...]
    policy: Policy

    def sampler(self, ids: Sequence[str], counts: ItemCounts) -> Sampler:
        """Return a `Sampler` that draws the items of one list, from utilities `(candidates,)`."""
        probability, row_of = (
            self.policy.probability(ids, counts),
            {item: row for row, item in enumerate(ids)},
        )
        left, lost = iter(self.items), False

        def draw(useful: Floats, positions: Positions, _: np.random.Generator) -> tuple[int, float]:
            nonlocal lost
            (found,) = np.nonzero(positions == row_of.get(next(left, ""), -1))
            lost = lost or not len(found)
            if lost:
                return 0, 0.0
            return int(found[0]), probability(useful, positions, int(found[0]))

        return draw


def fixed_list_policy(items: Sequence[str], policy: Policy) -> Policy:
    """Return the policy that draws this list with the propensities of `policy`."""
    pool = policy.pool if isinstance(policy, ExploringPolicy) else POOL
    # The union `Policy` lists the policies that settings may name, and this one is not among them.
    return cast("Policy", FixedListPolicy(pool=pool, items=tuple(items), policy=policy))
