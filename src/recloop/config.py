"""Reader of `params.yaml`, and the layout of the home, the folder of all state.

Each part of the project keeps a small settings class of its own; `read_block` fills it. Settings
that come from the environment are in `settings`. Importing this module reads nothing.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeVar, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

Block = TypeVar("Block", bound=BaseModel)

# A part of a whole, neither nothing nor all of it.
Share = Annotated[float, Field(gt=0, lt=1)]

PARAMS_FILE = Path("params.yaml")
BLOCKS = frozenset(
    {"snapshot", "validate", "split", "pretrain", "train", "ranker", "baselines", "export"}
    | {"evaluate", "reference", "decide", "schedules", "retention"}
)


class ConfigError(ValueError):
    """A setting is missing, unknown or not allowed; the message names it."""


def read_block(name: str, kind: type[Block], path: Path = PARAMS_FILE) -> Block:
    """Read one block of `params.yaml` into its settings class.

    Raises:
        ConfigError: The file is missing or is not YAML, or a setting is unknown or not allowed.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist in {Path.cwd()}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is not readable YAML: {error}") from error
    if unknown := sorted(set(document) - BLOCKS):
        raise ConfigError(
            f"{path}: unknown block {', '.join(unknown)}; known: {', '.join(sorted(BLOCKS))}"
        )
    try:
        return kind.model_validate(document.get(name) or {})
    except ValidationError as error:
        problems = "; ".join(
            f"{name}.{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
            for problem in error.errors()
        )
        raise ConfigError(f"{path}: {problems}") from error


class ConfigModel(BaseModel, extra="forbid", allow_inf_nan=False):
    """Base class of every block of settings; a name that is not a field is an error.

    So is a number that is infinite or NaN, and `yes`, `no`, `true` or `false` in place of a number.
    """

    @model_validator(mode="before")
    @classmethod
    def _has_no_truth_value_for_a_number(cls, document: object) -> object:
        for name, value in document.items() if isinstance(document, dict) else ():
            kind = cls.model_fields[name].annotation if name in cls.model_fields else bool
            if isinstance(value, bool) and bool not in {kind, *get_args(kind)}:
                raise ValueError(f"{name} must not be {str(value).lower()}")
        return document


@dataclass(frozen=True)
class Home:
    """Folder of all state, `RECLOOP_HOME`, and the database that belongs to it.

    `database_url` is None where events and keys are in SQLite files of the home.
    """

    root: Path
    database_url: str | None = field(default=None, repr=False)

    @property
    def sources(self) -> Path:
        """Data sets that were downloaded or unpacked."""
        return self.root / "sources"

    @property
    def events(self) -> Path:
        """SQLite file of the event store."""
        return self.root / "events.db"

    @property
    def database(self) -> str:
        """URL of the event store."""
        return self.database_url or f"sqlite:///{self.events}"

    @property
    def keys(self) -> Path:
        """SQLite file of the API keys, hashed."""
        return self.root / "keys.db"

    @property
    def keyring(self) -> Path | str:
        """File or URL of the API keys: the database that is named, otherwise `keys`."""
        return self.database_url or self.keys

    @property
    def models(self) -> Path:
        """BentoML's store of models and Bentos."""
        return self.root / "bentoml"

    @property
    def champion(self) -> Path:
        """Pointer file: the model version that serves."""
        return self.root / "champion.json"

    @property
    def cache(self) -> Path:
        """DVC's cache."""
        return self.root / "dvc" / "cache"

    @property
    def base_models(self) -> Path:
        """Base models unpacked from their wheels."""
        return self.root / "bases"

    @property
    def remote(self) -> Path:
        """DVC's remote."""
        return self.root / "dvc" / "remote"

    @property
    def workspace(self) -> Path:
        """Clone of the checkout in which the loop trains."""
        return self.root / "workspace"

    @property
    def reports(self) -> Path:
        """Reports for people, and the outcome of each flow run."""
        return self.root / "reports"

    @property
    def logs(self) -> Path:
        """Output of the processes that the loop starts."""
        return self.root / "logs"

    @property
    def prefect(self) -> Path:
        """Home of Prefect's server."""
        return self.root / "prefect"
