"""Settings that come from environment variables: their names, types, defaults and rules.

A program reads them once, when it starts, with `read_settings`, and passes on what its parts need.
Importing this module reads nothing. Settings of the pipeline are in `params.yaml`; see `config`.
"""

import difflib
import os
import re
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    PositiveInt,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from recloop.config import ConfigError, Home

PREFIX = "RECLOOP_"

# An empty variable means the default, except where an empty secret would switch protection off.
_EMPTY_IS_AN_ERROR = ("pseudonym_key", "pseudonym_key_file")
# Similarity from which a name counts as misspelt: one letter wrong, missing or too many. Kubernetes
# sets RECLOOP_SERVICE_HOST for a service named recloop, which has 0.90 of RECLOOP_SERVICE_PORT.
_MISSPELT_FROM = 0.905
_ORIGIN = re.compile(r"https?://[^/\s*]+")
_DATABASES = ("sqlite:", "postgresql:", "postgresql+psycopg:", "postgres:")


def _database(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(_DATABASES):
        raise ValueError("must begin with sqlite:/// or postgresql://")
    return url


def _origin(text: str) -> str:
    if not _ORIGIN.fullmatch(text):
        raise ValueError("must be an origin such as https://shop.example")
    return text


def _split(text: object) -> object:
    return text.replace(",", " ").split() if isinstance(text, str) else text


def _lower(text: object) -> object:
    return text.lower() if isinstance(text, str) else text


Port = Annotated[int, Field(ge=1, le=65_535)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Origin = Annotated[str, AfterValidator(_origin)]
Level = Literal["debug", "info", "warning", "error", "critical"]


class Settings(BaseSettings):
    """Every environment variable that recloop reads, one field each."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, hide_input_in_errors=True)

    home_folder: Annotated[Path, AfterValidator(Path.resolve)] = Field(
        default=Path(".recloop"), validation_alias="RECLOOP_HOME"
    )
    """Folder of all state: models, events, keys, reports, logs, caches."""

    database_url: Annotated[SecretStr, AfterValidator(_database)] | None = None
    """Database of events, served lists and API keys, such as `postgresql://user@host/name`.
    Without it, SQLite files in the home."""

    log: Annotated[Level, BeforeValidator(_lower)] = "info"
    """Least level of a log line."""

    log_json: bool = False
    """Write log lines as JSON instead of `key=value` pairs."""

    workers: PositiveInt = 1
    """Worker processes of the service."""

    deadline_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 100
    """Milliseconds within which a response is sent; 0 switches the deadline off."""

    poll_seconds: Positive = 0.5
    """Seconds between two checks of the service for a new champion and for changed items."""

    policy: Path | None = None
    """YAML file with the rules that hold for every list, and the experiment."""

    auth: Literal["off", "keys"] = "off"
    """`keys`: every request to `/v1` needs an API key."""

    rate_limit: Positive | None = None
    """Requests per second of one API key (of one address, without keys) in each worker. Beyond it
    the response is 429. Without it, there is no limit."""

    rate_burst: PositiveInt | None = None
    """Requests that may come at once under `RECLOOP_RATE_LIMIT`. Without it, as many as two
    seconds allow."""

    cors_origins: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_split)] = ()
    """Origins of browser pages that may call the service, separated by commas, such as
    `https://shop.example`."""

    pseudonym_key: SecretStr | None = None
    """Secret key, at least 32 bytes, under which user ids are replaced by pseudonyms. Without it
    and `RECLOOP_PSEUDONYM_KEY_FILE`, user ids are stored as they are."""

    pseudonym_key_file: Path | None = None
    """File that holds the key for pseudonyms."""

    api_key: SecretStr | None = None
    """API key with which `make run` calls a service that needs keys."""

    prefect_port: Port | None = None
    """Port of Prefect's server. Without it, 4200, or a free port where 4200 is taken."""

    service_port: Port | None = None
    """Port of the service. Without it, 3000, or a free port where 3000 is taken."""

    reports_port: Port | None = None
    """Port of the report server. Without it, 8800, or a free port where 8800 is taken."""

    reports_url: str | None = None
    """Address of the report server, for links in Prefect's pages. `make run` and `make up` set
    it."""

    start: str | None = None
    """Model version from which the stage `start` continues training. The retrain flow sets it."""

    checkout: Path | None = None
    """Folder of the checkout on a Prefect worker; only `prefect.yaml` reads it."""

    otlp_endpoint: str | None = Field(
        default=None,
        validation_alias=AliasChoices(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
        ),
    )
    """Address to which OpenTelemetry spans are sent. Without it, there are no spans."""

    otel_service_name: str = Field(default="recloop", validation_alias="OTEL_SERVICE_NAME")
    """Name of the service in OpenTelemetry spans."""

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {
            name: value
            for name, value in values.items()
            if value != "" or name in _EMPTY_IS_AN_ERROR
        }

    @property
    def home(self) -> Home:
        """The folder of all state, with the database that belongs to it."""
        url = self.database_url
        return Home(self.home_folder, None if url is None else url.get_secret_value())

    def in_home(self, folder: Path) -> "Settings":
        """Return the same settings with another home."""
        return self.model_copy(update={"home_folder": folder})


def read_settings() -> Settings:
    """Read the settings from the environment of this process, and look for misspelt names.

    Variables that begin with `RECLOOP_` and are no settings are named in a warning.

    Raises:
        ConfigError: A value is not allowed, or a name is that of a setting, misspelt.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        raise ConfigError("; ".join(_explained(problem) for problem in error.errors())) from None
    for name in _unknown_variables():
        warnings.warn(f"{name} is not a setting of recloop and is ignored", stacklevel=2)
    return settings


def variables_of(field: str) -> list[str]:
    """Return the environment variables that set a field; the first that is set holds."""
    alias = Settings.model_fields[field].validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices]
    return [str(alias or f"{PREFIX}{field.upper()}")]


def is_secret(field: str) -> bool:
    """Return whether the value of a field must not be shown."""
    return SecretStr.__name__ in str(Settings.model_fields[field].annotation)


def _unknown_variables() -> list[str]:
    known = {name for field in Settings.model_fields for name in variables_of(field)}
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    for name in unknown:
        swapped = [each for each in known if sorted(each) == sorted(name)]
        if near := swapped or difflib.get_close_matches(name, known, 1, _MISSPELT_FROM):
            raise ConfigError(f"{name} is not a setting. Did you mean {near[0]}?")
    return unknown


def _explained(problem: ErrorDetails) -> str:
    field = str(problem["loc"][0])
    value = "" if is_secret(field) else f" is {problem['input']!r}"
    rule = problem["msg"].removeprefix("Value error, ")
    return f"{variables_of(field)[0]}{value}: {rule[0].lower()}{rule[1:]}"
