"""`recloop keys`: make, list and revoke the API keys of this home."""

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recloop.cli_shared import fail
from recloop.config import Home
from recloop.store.keys import ApiKey, KeyStore, Scope, UnknownKeyError

app = typer.Typer(no_args_is_help=True, help="API keys; asked for where RECLOOP_AUTH=keys.")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is, for the list.")],
    scope: Annotated[list[Scope], typer.Option(help="What it may do; repeatable.")],
    expires: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="In UTC; never by default."),
    ] = None,
) -> None:
    """Make a key and print it, once; running services know it within a second."""
    until = expires.replace(tzinfo=UTC) if expires else None
    try:
        key, token = _store().create(name, scope, datetime.now(UTC), until)
    except ValueError as error:
        fail(str(error))
    Console(stderr=True).print(f"{key.id} made; it cannot be shown again:")
    sys.stdout.write(f"{token}\n")


@app.command("list")
def list_keys() -> None:
    """List the keys. An id stands at the beginning of its key: recloop_ID_..."""
    now = datetime.now(UTC)
    table = Table("id", "name", "scopes", "made", "expires", "state")
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
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """End a key for good; running services refuse it within a second."""
    try:
        _store().revoke(key_id, datetime.now(UTC))
    except UnknownKeyError as error:
        fail(str(error.args[0]))
    Console().print(f"{escape(key_id)} is revoked")


def _state(key: ApiKey, now: datetime) -> str:
    if key.revoked is not None:
        return "revoked"
    return "valid" if key.is_valid(now) else "expired"


def _store() -> KeyStore:
    return KeyStore.at(Home.from_environment().keyring)
