"""`recloop`: look at the models of this home, switch between them, ask one for a list."""

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recloop.config import Home
from recloop.models.nano import EncoderMissingError
from recloop.recommender.recommender import Request
from recloop.recommender.state import UserState
from recloop.registry.manifest import CorruptModelError
from recloop.registry.store import Registry, UnknownVersionError

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
console = Console()


@app.command()
def models() -> None:
    """List the packaged models; the champion is marked."""
    registry = Registry(Home.from_environment())
    champion = registry.champion()
    table = Table("version", "created", "NDCG@10", "data", "commit")
    for version in registry.versions():
        manifest = registry.manifest(version)
        found = manifest.lineage.metrics.get("recloop", {}).get("ndcg@10", {})
        serving = champion is not None and champion.version == version
        table.add_row(
            f"{version} *" if serving else version,
            f"{manifest.created:%Y-%m-%d %H:%M}",
            f"{found['value']:.4f} [{found['low']:.4f}, {found['high']:.4f}]" if found else "",
            manifest.lineage.data_version[:12],
            manifest.lineage.git_commit[:12],
            style="bold" if serving else "",
        )
    console.print(table)


@app.command()
def promote(
    version: str, because: Annotated[str, typer.Option(help="Why, for the record.")] = "by hand"
) -> None:
    """Let a version serve; running services follow within a second."""
    try:
        Registry(Home.from_environment()).promote(version, [because])
    except (UnknownVersionError, CorruptModelError, ValueError) as error:
        _fail(str(error.args[0]))
    console.print(f"{version} serves")


@app.command()
def recommend(
    user: Annotated[str | None, typer.Option(help="User id.")] = None,
    item: Annotated[list[str] | None, typer.Option(help="Item just used; repeatable.")] = None,
    query: Annotated[str | None, typer.Option(help="Free text.")] = None,
    k: int = 10,
) -> None:
    """Ask the champion, without HTTP and without feedback since its snapshot."""
    registry = Registry(Home.from_environment())
    champion = registry.champion()
    if champion is None:
        _fail("there is no champion yet: `make run` trains one")
        return
    try:
        recommender = registry.load(champion.version)
    except (CorruptModelError, EncoderMissingError) as error:
        _fail(str(error.args[0]))
        return
    state = recommender.states.of(user) if user else UserState.empty()
    state = state.after([(item_id, "click") for item_id in item or []], recommender.catalogue)
    titles = dict(recommender.catalogue.items.select("item_id", "title").iter_rows())
    table = Table("", "item", "title", "score", "mostly by")
    for place, found in enumerate(recommender.recommend(Request(state, k=k, query=query)), start=1):
        strongest = max(found.contributions, key=lambda name: found.contributions[name], default="")
        title = escape(titles[found.item_id])
        table.add_row(str(place), escape(found.item_id), title, f"{found.score:.2f}", strongest)
    console.print(table)


def _fail(message: str) -> None:
    Console(stderr=True).print(f"[red]✗[/] {escape(message)}")
    sys.exit(1)
