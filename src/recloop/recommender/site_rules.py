"""Site rules: rules of all lists of a site, and its experiment."""

from pathlib import Path

import yaml
from pydantic import ValidationError

from recloop.config import ConfigError, ConfigModel
from recloop.recommender.lists.boosts_and_quotas import ListRules
from recloop.recommender.lists.experiments import Experiment


class SiteRules(ConfigModel):
    """Settings of a site, from a YAML file.

    Attributes:
        rules: Boosts and quotas of every list, in addition to those of a request.
        experiment: Arms of the experiment and their shares of the traffic.
    """

    rules: ListRules = ListRules()
    experiment: Experiment = Experiment()

    @classmethod
    def from_file(cls, path: Path | None) -> "SiteRules":
        """Read a YAML file; without a file there are no rules and no experiment.

        Raises:
            ConfigError: The file is missing or is not YAML in UTF-8, or a setting is unknown or not
                allowed.
        """
        if path is None:
            return cls()
        try:
            return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
        except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
            raise ConfigError(f"{path}: {error}") from error
