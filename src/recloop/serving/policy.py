"""What the house wants of every list: rules that always hold, and experiments. Off until a file says so."""

import os
from pathlib import Path

import yaml
from pydantic import ValidationError

from recloop.config import ConfigError, Settings
from recloop.recommender.arms import Experiment
from recloop.recommender.rules import Rules


class ServingPolicy(Settings):
    """`rules` hold beside those of a request; `experiment` says who gets lists of which arm."""

    rules: Rules = Rules()
    experiment: Experiment = Experiment()

    @classmethod
    def from_environment(cls) -> "ServingPolicy":
        """The YAML file that `RECLOOP_POLICY` names; without it, no rules and no experiment.

        Raises:
            ConfigError: the file is not there, or does not fit.
        """
        named = os.environ.get("RECLOOP_POLICY")
        return cls.read(Path(named)) if named else cls()

    @classmethod
    def read(cls, path: Path) -> "ServingPolicy":
        """From a YAML file. Raises ConfigError."""
        try:
            return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
        except (OSError, yaml.YAMLError, ValidationError) as error:
            raise ConfigError(f"{path}: {error}") from error
