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

from recloop import cli_keys, cli_off_policy, cli_privacy
from recloop.cli_shared import door, fail, loaded_champion
from recloop.config import Home
from recloop.recommender.request import Request
from recloop.recommender.state import UserState
from recloop.registry.manifest import CorruptModelError
from recloop.registry.store import Registry, UnknownVersionError, UsersNamedOtherwiseError
from recloop.store.events import EventStore
from recloop.trials.config import TrialConfig
from recloop.trials.folder import FolderError, read_folder
from recloop.trials.timeline import Protocol

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
app.add_typer(cli_privacy.app)
app.add_typer(cli_off_policy.app)
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
    home = Home.from_environment()
    naming = door(EventStore.of(home)).naming
    try:
        Registry(home, naming).promote(version, [because])
    except (UnknownVersionError, CorruptModelError, UsersNamedOtherwiseError, ValueError) as error:
        fail(str(error.args[0]))
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
    store = EventStore.of(home)
    pseudonyms = door(store)
    found = loaded_champion(home, pseudonyms)
    if found is None:
        fail("there is no champion yet: `make run` trains one")
    _, recommender = found
    known = pseudonyms.of(user) if user else None
    erased = store.personal.erasure_of(known)
    state = recommender.states.of(known, erased) if known else UserState.empty()
    now, unknown = time.time(), float("nan")
    state = state.after(
        [(item_id, "click", unknown) for item_id in item or []], recommender.catalogue
    )
    titles = dict(recommender.catalogue.items.select("item_id", "title").iter_rows())
    table = Table("", "item", "title", "score", "mostly by")
    for place, ranked in enumerate(
        recommender.recommend(Request(state, k=k, query=query, since=now)), start=1
    ):
        parts = ranked.contributions
        strongest = max(parts, key=lambda name: parts[name], default="")
        title = escape(titles[ranked.item_id])
        table.add_row(str(place), escape(ranked.item_id), title, f"{ranked.score:.2f}", strongest)
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
        fail(str(error))
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    path = out or Path("reports", f"{document['data']}-{protocol}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", "utf-8")
    sys.stdout.write(text + "\n")
