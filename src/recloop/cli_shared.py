"""What the commands share: how they open a home, and how they end where that cannot be."""

import sys
from typing import NoReturn

from rich.console import Console
from rich.markup import escape

from recloop.config import ConfigError, Home
from recloop.data.pseudonyms import Pseudonyms
from recloop.models.nano import EncoderMissingError
from recloop.recommender.recommender import Recommender
from recloop.registry.manifest import CorruptModelError
from recloop.registry.store import Registry, UsersNamedOtherwiseError
from recloop.store.events import EventStore
from recloop.store.naming import NamingError, open_door


def fail(message: str) -> NoReturn:
    """Say why not, and end."""
    Console(stderr=True).print(f"[red]✗[/] {escape(message)}")
    sys.exit(1)


def door(store: EventStore) -> Pseudonyms:
    """How this store names users; ends the command where the environment says otherwise."""
    try:
        return open_door(store)
    except (ConfigError, NamingError) as error:
        fail(str(error.args[0]))


def loaded_champion(home: Home, pseudonyms: Pseudonyms) -> tuple[str, Recommender] | None:
    """The champion's version and the champion, None before the first; ends where it does not load."""
    registry = Registry(home, pseudonyms.naming)
    champion = registry.champion()
    if champion is None:
        return None
    try:
        return champion.version, registry.load(champion.version)
    except (CorruptModelError, EncoderMissingError, UsersNamedOtherwiseError) as error:
        fail(str(error.args[0]))
