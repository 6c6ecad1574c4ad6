"""Experiments: which arm a request belongs to, and what each arm does."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from recloop.config import Settings
from recloop.recommender.explore import Greedy, Policy

# The arm of whoever no other has: the best items, as scored.
CHAMPION = "champion"
_ROUNDING = 1e-9


class UnknownArmError(LookupError):
    """An arm that the experiment does not have."""


class Arm(Settings):
    """A share of the traffic, in 0…1, and the policy by which its lists are drawn."""

    share: Annotated[float, Field(ge=0, le=1)]
    policy: Policy = Greedy()


class Experiment(Settings):
    """Arms by name; what their shares leave belongs to `champion`.

    Whoever asks is assigned by a hash under `key`: the same arm every time, in every worker, and after
    every restart; under another key, another draw that knows nothing of the first.
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
        """The arm of a user, or of a request of nobody."""
        if not self.arms:
            return CHAMPION
        digest = blake2b(who.encode(), key=self.key.encode(), digest_size=8).digest()
        place = int.from_bytes(digest, "big") / 2**64
        for name, arm in self.arms.items():
            if place < arm.share:
                return name
            place -= arm.share
        return CHAMPION

    def policy(self, name: str) -> Policy:
        """What an arm does. Raises UnknownArmError."""
        if name == CHAMPION:
            return Greedy()
        if name not in self.arms:
            raise UnknownArmError(f"there is no arm {name!r}")
        return self.arms[name].policy
