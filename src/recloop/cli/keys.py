"""Commands `recloop keys`: create, list and revoke the API keys of this home."""

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recloop.cli.shared import fail, settings
from recloop.store.scopes import Scope

if TYPE_CHECKING:
    from recloop.store.api_keys import ApiKey, KeyStore

app = typer.Typer(
    no_args_is_help=True, help="Manage API keys. With RECLOOP_AUTH=keys, every request needs one."
)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Name of the key's owner, shown in the list.")],
    scope: Annotated[list[Scope], typer.Option(help="What the key may do; repeatable.")],
    expires: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
            help="Time in UTC after which the key is refused; by default it never expires.",
        ),
    ] = None,
) -> None:
    """Create a key and print it once. Running services accept it within a second."""
    until = expires.replace(tzinfo=UTC) if expires else None
    try:
        key, token = _store().create(name, scope, datetime.now(UTC), until)
    except ValueError as error:
        fail(str(error))
    Console(stderr=True).print(f"{key.id} created; the key cannot be shown again:")
    sys.stdout.write(f"{token}\n")


@app.command("list")
def list_keys() -> None:
    """List the keys. A key begins with its id: recloop_ID_..."""
    now = datetime.now(UTC)
    table = Table("id", "name", "scopes", "created", "expires", "state")
    for key in _store().read():
        table.add_row(
            key.id,
            escape(key.name),
            " ".join(sorted(key.scopes)),
            f"{key.created:%Y-%m-%d %H:%M}",
            f"{key.expires:%Y-%m-%d %H:%M}" if key.expires else "never",
            _state(key, now),
        )
    Console().print(table)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the key, see `keys list`.")],
) -> None:
    """Revoke a key permanently. Running services refuse it within a second."""
    from recloop.store.api_keys import UnknownKeyError

    try:
        _store().revoke(key_id, datetime.now(UTC))
    except UnknownKeyError as error:
        fail(str(error.args[0]))
    Console().print(f"{escape(key_id)} is revoked")


def _state(key: "ApiKey", now: datetime) -> str:
    if key.revoked is not None:
        return "revoked"
    return "valid" if key.is_valid(now) else "expired"


def _store() -> "KeyStore":
    from recloop.store.api_keys import KeyStore
    from recloop.store.schema_version import StoreSchemaError

    try:
        return KeyStore.at(settings().home.keyring)
    except StoreSchemaError as error:
        fail(str(error))
