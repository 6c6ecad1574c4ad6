"""The one reader of `params.yaml`, and of where the home is.

Each part of the project keeps its own small settings class; this module only fills it. It touches
nothing when imported.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

Block = TypeVar("Block", bound=BaseModel)

DATABASE = "RECLOOP_DATABASE_URL"
PARAMS_FILE = Path("params.yaml")
BLOCKS = frozenset(
    {"snapshot", "validate", "split", "pretrain", "train", "ranker", "baselines", "export"}
    | {"evaluate", "reference", "decide", "schedules", "retention"}
)


class ConfigError(ValueError):
    """A setting is missing or does not fit; the message names it."""


def read_block(name: str, kind: type[Block], path: Path = PARAMS_FILE) -> Block:
    """One block of `params.yaml` as its settings class.

    Raises:
        ConfigError: no such file, unreadable YAML, unknown or unfit settings.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist in {Path.cwd()}") from error
    except yaml.YAMLError as error:
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


class Settings(BaseModel, extra="forbid"):
    """Base of every settings class: a misspelt name is an error, not a silent default."""


@dataclass(frozen=True)
class Home:
    """Where the system keeps its state: one folder, `RECLOOP_HOME`."""

    root: Path

    @classmethod
    def from_environment(cls) -> "Home":
        """`RECLOOP_HOME`, by default `.recloop` in the working directory."""
        return cls(Path(os.environ.get("RECLOOP_HOME") or ".recloop").resolve())

    @property
    def sources(self) -> Path:
        return self.root / "sources"

    @property
    def events(self) -> Path:
        return self.root / "events.db"

    @property
    def database(self) -> str:
        """URL of the store: `RECLOOP_DATABASE_URL`, by default the SQLite file of this home."""
        return os.environ.get(DATABASE) or f"sqlite:///{self.events}"

    @property
    def keys(self) -> Path:
        """API keys, hashed, where no database is named."""
        return self.root / "keys.db"

    @property
    def keyring(self) -> Path | str:
        """Where API keys are: in the database that is named, otherwise in a file of their own."""
        return os.environ.get(DATABASE) or self.keys

    @property
    def models(self) -> Path:
        """BentoML's store of models and Bentos."""
        return self.root / "bentoml"

    @property
    def champion(self) -> Path:
        """The pointer file that says which model version serves."""
        return self.root / "champion.json"

    @property
    def cache(self) -> Path:
        return self.root / "dvc" / "cache"

    @property
    def bases(self) -> Path:
        """Base models unpacked from their wheels."""
        return self.root / "bases"

    @property
    def remote(self) -> Path:
        return self.root / "dvc" / "remote"

    @property
    def workspace(self) -> Path:
        return self.root / "workspace"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def prefect(self) -> Path:
        return self.root / "prefect"
