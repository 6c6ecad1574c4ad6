"""When an answer must be there, and how much of that time each stage has."""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from recloop.config import ConfigError, Settings
from recloop.serving.stages import Stage

VARIABLE = "RECLOOP_DEADLINE_MS"
_DEFAULT_MS = "100"
_MILLISECOND = 1e-3

Share = Annotated[float, Field(gt=0, lt=1)]


class DeadlineConfig(Settings):
    """`seconds` for a whole answer, None: as long as it takes.

    `ranker` and `score`: the share of them that has passed when these must be done. What is left is for
    the answer itself, and for the list of what is popular where scores are late. `state`: seconds that
    the store has to say what somebody did: an answer without it forgets what was just done, which is
    worse than a late one, so only a store that hangs is given up.
    """

    seconds: Annotated[float, Field(gt=0)] | None = None
    state: Annotated[float, Field(gt=0)] = 2.0
    ranker: Share = 0.8
    score: Share = 0.9

    @classmethod
    def from_environment(cls) -> "DeadlineConfig":
        """From RECLOOP_DEADLINE_MS, by default 100; 0: none. Raises ConfigError."""
        told = os.environ.get(VARIABLE) or _DEFAULT_MS
        try:
            milliseconds = float(told)
        except ValueError:
            milliseconds = math.nan
        if not 0 <= milliseconds < math.inf:
            raise ConfigError(f"{VARIABLE} is {told!r}; it may be a number of milliseconds, or 0")
        return cls(seconds=milliseconds * _MILLISECOND or None)


@dataclass(frozen=True)
class Deadline:
    """Of one answer, whose time began at `began` by `clock`, in seconds of any origin."""

    config: DeadlineConfig
    began: float
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def starts(
        cls, config: DeadlineConfig, clock: Callable[[], float] = time.monotonic
    ) -> "Deadline":
        """Now."""
        return cls(config, clock(), clock)

    def left(self, stage: Stage) -> float | None:
        """Seconds until `stage` must be done, below 0 where it is late; None: there is no hurry."""
        if self.config.seconds is None:
            return None
        until = {
            Stage.STATE: self.config.state,
            Stage.RANKER: self.config.ranker * self.config.seconds,
            Stage.SCORE: self.config.score * self.config.seconds,
        }
        return self.began + until[stage] - self.clock() if stage in until else None
