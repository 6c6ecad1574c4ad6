"""Experiments: assignment of requests to arms, and the policy of each arm."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from recloop.config import ConfigModel
from recloop.recommender.lists.exploration import Greedy, Policy

# Arm of all other users: the best items by score.
CHAMPION = "champion"
_ROUNDING = 1e-9


class UnknownArmError(LookupError):
    """The experiment does not have the arm."""


class Arm(ConfigModel):
    """Share of the traffic, 0 to 1, and the policy that draws its lists."""

    share: Annotated[float, Field(ge=0, le=1)]
    policy: Policy = Greedy()


class Experiment(ConfigModel):
    """Arms by name; the traffic that their shares leave goes to the arm `champion`.

    Users are assigned by a keyed hash: always to the same arm, in every worker and after every
    restart. Another `key` gives an independent assignment.
    """

    key: Annotated[str, Field(min_length=1, max_length=64)] = "recloop"
    arms: Mapping[Annotated[str, Field(pattern=r"^[\w.-]{1,64}$")], Arm] = {}

    @field_validator("key")
    @classmethod
    def _short(cls, key: str) -> str:
        if len(key.encode()) > blake2b.MAX_KEY_SIZE:
            raise ValueError(f"must have {blake2b.MAX_KEY_SIZE} bytes at most")
        return key

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if CHAMPION in self.arms:
            raise ValueError(
                f"{CHAMPION} is what the other arms leave, and has no share of its own"
            )
        if sum(arm.share for arm in self.arms.values()) > 1 + _ROUNDING:
            raise ValueError("the shares of all arms must not be more than 1")
        return self

    def assign(self, who: str) -> str:
        """Return the arm of a user, or of an anonymous request."""
        if not self.arms:
            return CHAMPION
        digest = blake2b(who.encode(), key=self.key.encode(), digest_size=8).digest()
        point = int.from_bytes(digest, "big") / 2**64
        for name, arm in self.arms.items():
            if point < arm.share:
                return name
            point -= arm.share
        return CHAMPION

    def policy(self, name: str) -> Policy:
        """Return the policy of an arm.

        Raises:
            UnknownArmError: The experiment does not have the arm.
        """
        if name == CHAMPION:
            return Greedy()
        if name not in self.arms:
            raise UnknownArmError(f"there is no arm {name!r}")
        return self.arms[name].policy
