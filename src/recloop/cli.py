"""`recloop`: models, which one serves, lists, trials of all on a data set, and what is held of a person."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recloop import cli_keys
from recloop.config import Home
from recloop.models.nano import EncoderMissingError
from recloop.recommender.recommender import Request
from recloop.recommender.state import UserState
from recloop.registry.manifest import CorruptModelError
from recloop.registry.store import Registry, UnknownVersionError
from recloop.store.events import EventStore
from recloop.trials.config import TrialConfig
from recloop.trials.folder import FolderError, read_folder
from recloop.trials.timeline import Protocol

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
app.add_typer(cli_keys.app, name="keys")
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
    home = Home.from_environment()
    registry = Registry(home)
    champion = registry.champion()
    if champion is None:
        _fail("there is no champion yet: `make run` trains one")
        return
    try:
        recommender = registry.load(champion.version)
    except (CorruptModelError, EncoderMissingError) as error:
        _fail(str(error.args[0]))
        return
    erased = EventStore.of(home).personal.erasure_of(user)
    state = recommender.states.of(user, erased) if user else UserState.empty()
    now, unknown = time.time(), float("nan")
    state = state.after(
        [(item_id, "click", unknown) for item_id in item or []], recommender.catalogue
    )
    titles = dict(recommender.catalogue.items.select("item_id", "title").iter_rows())
    table = Table("", "item", "title", "score", "mostly by")
    for place, found in enumerate(
        recommender.recommend(Request(state, k=k, query=query, since=now)), start=1
    ):
        strongest = max(found.contributions, key=lambda name: found.contributions[name], default="")
        title = escape(titles[found.item_id])
        table.add_row(str(place), escape(found.item_id), title, f"{found.score:.2f}", strongest)
    console.print(table)


@app.command()
def evaluate(
    folder: Annotated[Path, typer.Argument(help="Holds interactions.parquet and items.parquet.")],
    models: Annotated[str | None, typer.Option(help="Names, with commas; all by default.")] = None,
    protocol: Annotated[Protocol, typer.Option(help="How the test is asked.")] = "next-item",
    mask_seen: Annotated[
        bool | None,
        typer.Option("--mask-seen/--keep-seen", help="By default the data decides."),
    ] = None,
    tuning: Annotated[
        str | None,
        typer.Option(
            help="Of the language model: frozen, lora, adalora, adapter, prefix, full;"
            " by default the data decides."
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Bound of training one sequence model.")] = 900.0,
    seed: int = 42,
    out: Annotated[
        Path | None, typer.Option(help="Where the JSON goes; by default into reports/.")
    ] = None,
) -> None:
    """Train, tune and measure recloop and its rivals on a data set; prints JSON.

    Models learn from `train`, are tuned on `valid`, refitted on both and asked about `test`.
    """
    # PyTorch is heavy, and the other commands do without it.
    from recloop.trials import run  # noqa: PLC0415

    narrate = Console(stderr=True)
    try:
        config = TrialConfig.model_validate(
            {
                "models": run.parse_models(models, protocol),
                "protocol": protocol,
                "repeats": None if mask_seen is None else not mask_seen,
                "tuning": tuning,
                "seconds": seconds,
                "seed": seed,
            }
        )
        document = run.evaluate(
            read_folder(folder), config, lambda line: narrate.print(escape(line))
        )
    except (FolderError, ValueError) as error:
        _fail(str(error))
        return
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    path = out or Path("reports", f"{document['data']}-{protocol}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", "utf-8")
    sys.stdout.write(text + "\n")


@app.command()
def erase(user: Annotated[str, typer.Argument(help="User id.")]) -> None:
    """Erase everything of a user, as `DELETE /v1/users/{id}` does; prints the receipt as JSON."""
    # FastAPI comes along, and the other commands do without it.
    from recloop.serving import privacy  # noqa: PLC0415

    home = Home.from_environment()
    registry = Registry(home)
    champion = registry.champion()
    receipt = privacy.erase(
        user, EventStore.of(home), registry, champion.version if champion else None
    )
    sys.stdout.write(receipt.model_dump_json(indent=2) + "\n")


@app.command()
def export(user: Annotated[str, typer.Argument(help="User id.")]) -> None:
    """Print everything held of a user as JSON, as `GET /v1/users/{id}/export` does."""
    from recloop.serving import privacy  # noqa: PLC0415

    home = Home.from_environment()
    registry = Registry(home)
    champion = registry.champion()
    try:
        serving = (champion.version, registry.load(champion.version)) if champion else None
    except (CorruptModelError, EncoderMissingError) as error:
        _fail(str(error.args[0]))
        return
    sys.stdout.writelines(privacy.export(user, EventStore.of(home), serving))


def _fail(message: str) -> None:
    Console(stderr=True).print(f"[red]✗[/] {escape(message)}")
    sys.exit(1)
