"""`recloop erase`, `export` and `pseudonymise`: what is held of people, and under which names."""

import sys
from typing import Annotated

import typer
from rich.console import Console

from recloop.cli_shared import door, fail, loaded_champion
from recloop.config import ConfigError, Home
from recloop.data.pseudonyms import Pseudonyms
from recloop.registry.store import Registry
from recloop.store import naming
from recloop.store.events import EventStore

app = typer.Typer()


@app.command()
def erase(user: Annotated[str, typer.Argument(help="User id.")]) -> None:
    """Erase everything of a user, as `DELETE /v1/users/{id}` does; prints the receipt as JSON."""
    # FastAPI comes along, and the other commands do without it.
    from recloop.serving import privacy  # noqa: PLC0415

    home = Home.from_environment()
    store, registry = EventStore.of(home), Registry(home)
    champion = registry.champion()
    receipt = privacy.erase(
        user, store, registry, champion.version if champion else None, door(store)
    )
    sys.stdout.write(receipt.model_dump_json(indent=2) + "\n")


@app.command()
def export(user: Annotated[str, typer.Argument(help="User id.")]) -> None:
    """Print everything held of a user as JSON, as `GET /v1/users/{id}/export` does."""
    from recloop.serving import privacy  # noqa: PLC0415

    home = Home.from_environment()
    store = EventStore.of(home)
    pseudonyms = door(store)
    sys.stdout.writelines(
        privacy.export(user, store, loaded_champion(home, pseudonyms), pseudonyms)
    )


@app.command()
def pseudonymise() -> None:
    """Replace the user ids in the store by pseudonyms under the key of the environment, for good.

    Stop everything that uses the store before. Models packaged until now know users by their ids:
    none of them serves, and a retrain makes one that does.
    """
    home = Home.from_environment()
    try:
        users = naming.pseudonymise(EventStore.of(home), Pseudonyms.from_environment())
    except (ConfigError, naming.NamingError) as error:
        fail(str(error.args[0]))
    home.champion.unlink(missing_ok=True)
    versions = ", ".join(Registry(home).versions()) or "none"
    console = Console()
    console.print(f"{users} users are known by pseudonyms; no model serves until a retrain")
    console.print(f"ids stay, until they are removed, in the files of these versions: {versions};")
    console.print(
        "in the workspace, DVC's cache and remote, reports, backups, and in the checkout's data"
    )
