"""Commands `recloop erase`, `export` and `pseudonymise`, for the data of users."""

import sys
from typing import Annotated

import typer
from rich.console import Console

from recloop.cli.shared import fail, load_champion, open_pseudonyms, open_store, settings
from recloop.config import ConfigError
from recloop.data.pseudonyms import Pseudonyms

app = typer.Typer()


@app.command()
def erase(user: Annotated[str, typer.Argument(help="User id.")]) -> None:
    """Erase all data of a user, as `DELETE /v1/users/{id}` does, and print the receipt as JSON."""
    from recloop.registry.versions import Registry
    from recloop.serving.routes import privacy_routes as privacy

    home = settings().home
    store, registry = open_store(home), Registry(home)
    champion = registry.champion()
    receipt = privacy.erase(
        user, store, registry, champion.version if champion else None, open_pseudonyms(store)
    )
    sys.stdout.write(receipt.model_dump_json(indent=2) + "\n")


@app.command()
def export(user: Annotated[str, typer.Argument(help="User id.")]) -> None:
    """Print all data of a user as JSON, as `GET /v1/users/{id}/export` does."""
    from recloop.serving.routes import privacy_routes as privacy

    home = settings().home
    store = open_store(home)
    pseudonyms = open_pseudonyms(store)
    sys.stdout.writelines(privacy.export(user, store, load_champion(home, pseudonyms), pseudonyms))


@app.command()
def pseudonymise() -> None:
    """Replace the user ids in the store by pseudonyms under RECLOOP_PSEUDONYM_KEY, irreversibly.

    Stop all programs that use the store first. Earlier models contain user ids and can no
    longer be served; a retrain trains a model with pseudonyms.
    """
    from recloop.registry.versions import Registry
    from recloop.store import user_id_scheme as naming

    home = settings().home
    try:
        users = naming.pseudonymise(open_store(home), Pseudonyms.of_settings(settings()))
    except (ConfigError, naming.UserIdSchemeError) as error:
        fail(str(error.args[0]))
    home.champion.unlink(missing_ok=True)
    versions = ", ".join(Registry(home).versions()) or "none"
    console = Console()
    console.print(f"{users} users now have pseudonyms; no model is served until a retrain")
    console.print(
        f"user ids remain in the files of these model versions until you remove them: {versions};"
    )
    console.print(
        "also in the workspace, DVC's cache and remote, reports, backups and the checkout's data"
    )
