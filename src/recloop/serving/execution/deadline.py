"""Deadline of a response, and the part of it that each stage may use."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from recloop.config import ConfigModel, Share
from recloop.serving.execution.scoring_stages import Stage

if TYPE_CHECKING:
    from recloop.settings import Settings

_MILLISECOND = 1e-3


class DeadlineConfig(ConfigModel):
    """Deadlines of a response and of its stages."""

    seconds: Annotated[float, Field(gt=0)] | None = None
    """Seconds for the whole response. None: no deadline."""
    state: Annotated[float, Field(gt=0)] = 2.0
    """Seconds for reading the user's events from the store. This is longer than the other stages
    need, since a list without the newest events is worse than a late one: only a store that hangs
    is replaced by the state in memory."""
    ranker: Share = 0.8
    """Share of `seconds` after which the ranker's result is too late."""
    score: Share = 0.9
    """Share of `seconds` after which scores are too late. The rest of the time is for the
    popularity fallback and for writing the response."""

    @classmethod
    def of_settings(cls, settings: "Settings") -> "DeadlineConfig":
        """Return the deadline of the settings; 0 ms means none."""
        return cls(seconds=settings.deadline_ms * _MILLISECOND or None)


@dataclass(frozen=True)
class Deadline:
    """Deadline of one response.

    Attributes:
        config: Deadlines of the response and of its stages.
        started: Time of `clock` when the request arrived, in seconds.
        clock: Function that returns the time in seconds, from any origin.
    """

    config: DeadlineConfig
    started: float
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def start(
        cls, config: DeadlineConfig, clock: Callable[[], float] = time.monotonic
    ) -> "Deadline":
        """Return the deadline of a request that arrives now."""
        return cls(config, clock(), clock)

    def seconds_left(self, stage: Stage) -> float | None:
        """Return the seconds until a stage is late; <= 0 if it is, None if it has no deadline."""
        if self.config.seconds is None:
            return None
        until = {
            Stage.STATE: self.config.state,
            Stage.RANKER: self.config.ranker * self.config.seconds,
            Stage.SCORE: self.config.score * self.config.seconds,
        }
        return self.started + until[stage] - self.clock() if stage in until else None
