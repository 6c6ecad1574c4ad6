"""Manage models, print recommendations, evaluate on a data set, and export or erase user data."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recloop.benchmark.config import BenchmarkConfig, Protocol
from recloop.cli import keys as cli_keys
from recloop.cli import off_policy as cli_off_policy
from recloop.cli import privacy as cli_privacy
from recloop.cli.shared import fail, load_champion, open_pseudonyms, open_store, settings

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
app.add_typer(cli_privacy.app)
app.add_typer(cli_off_policy.app)
app.add_typer(cli_keys.app, name="keys")
console = Console()


@app.command()
def models() -> None:
    """List the packaged models. An asterisk marks the champion."""
    from recloop.registry.versions import Registry

    registry = Registry(settings().home)
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
    version: Annotated[str, typer.Argument(help="Version, for example v3.")],
    because: Annotated[str, typer.Option(help="Reason, stored with the promotion.")] = "by hand",
) -> None:
    """Make a version the champion. Running services load it within a second."""
    from recloop.registry.manifest import CorruptModelError, ModelFormatError
    from recloop.registry.versions import Registry, UnknownVersionError, UserIdsDifferError

    home = settings().home
    naming = open_pseudonyms(open_store(home)).scheme
    try:
        Registry(home, naming).promote(version, [because])
    except (
        UnknownVersionError,
        CorruptModelError,
        ModelFormatError,
        UserIdsDifferError,
        ValueError,
    ) as error:
        fail(str(error.args[0]))
    console.print(f"{version} is the champion")


@app.command()
def recommend(
    user: Annotated[str | None, typer.Option(help="User id.")] = None,
    item: Annotated[
        list[str] | None, typer.Option(help="Item of the current session; repeatable.")
    ] = None,
    query: Annotated[str | None, typer.Option(help="Search query.")] = None,
    k: Annotated[int, typer.Option(help="Number of items.")] = 10,
) -> None:
    """Print recommendations of the champion, without feedback since its snapshot."""
    from recloop.recommender.history import UserHistory
    from recloop.recommender.request import Request

    home = settings().home
    store = open_store(home)
    pseudonyms = open_pseudonyms(store)
    found = load_champion(home, pseudonyms)
    if found is None:
        fail("there is no champion yet: `make run` trains one")
    _, recommender = found
    user_id = pseudonyms.pseudonymise(user) if user else None
    erased = store.personal.last_erasure(user_id)
    state = recommender.histories.get(user_id, erased) if user_id else UserHistory.empty()
    now, unknown = time.time(), float("nan")
    state = state.updated_with(
        [(item_id, "click", unknown) for item_id in item or []], recommender.catalogue
    )
    titles = dict(recommender.catalogue.items.select("item_id", "title").iter_rows())
    table = Table("", "item", "title", "score", "main channel")
    for rank, ranked in enumerate(
        recommender.recommend(Request(state, k=k, query=query, offline_seconds=now)), start=1
    ):
        parts = ranked.contributions
        strongest = max(parts, key=lambda name: parts[name], default="")
        title = escape(titles[ranked.item_id])
        table.add_row(str(rank), escape(ranked.item_id), title, f"{ranked.score:.2f}", strongest)
    console.print(table)


@app.command()
def evaluate(
    folder: Annotated[
        Path, typer.Argument(help="Folder with interactions.parquet and items.parquet.")
    ],
    models: Annotated[
        str | None, typer.Option(help="Names of models, separated by commas; all by default.")
    ] = None,
    protocol: Annotated[Protocol, typer.Option(help="Evaluation protocol.")] = "next-item",
    mask_seen: Annotated[
        bool | None,
        typer.Option(
            "--mask-seen/--keep-seen",
            help="Exclude items of the history or keep them; by default chosen from the data.",
        ),
    ] = None,
    tuning: Annotated[
        str | None,
        typer.Option(
            help="Fine-tuning of the language model: frozen, lora, adalora, adapter, prefix, full;"
            " by default chosen from the data."
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Most seconds for training one model.")] = 900.0,
    seed: Annotated[int, typer.Option(help="Seed of all random numbers.")] = 42,
    ablate: Annotated[  # noqa: FBT002 - typer makes it an option by name
        bool,
        typer.Option(
            "--ablate",
            help="Also train recloop without texts, with words only, with frozen and with tuned"
            " texts, and rank with older states of the users. Takes the time of five models.",
        ),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="File for the JSON; by default in reports/.")
    ] = None,
) -> None:
    """Train, tune and measure recloop and its baselines on a data set; print the results as JSON.

    Models are trained on `train`, tuned on `valid`, trained again on both and measured on `test`.
    """
    from recloop.benchmark import run
    from recloop.benchmark.dataset import FolderError, read_folder

    progress = Console(stderr=True)
    try:
        config = BenchmarkConfig.model_validate(
            {
                "models": run.parse_models(models, protocol),
                "protocol": protocol,
                "repeats": None if mask_seen is None else not mask_seen,
                "tuning": tuning,
                "seconds": seconds,
                "seed": seed,
                "ablate": ablate,
            }
        )
        document = run.evaluate(
            read_folder(folder), config, lambda line: progress.print(escape(line))
        )
    except (FolderError, ValueError) as error:
        fail(str(error))
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    path = out or Path("reports", f"{document['data']}-{protocol}.json")
    sys.stdout.write(text + "\n")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", "utf-8")
    except OSError as error:
        fail(f"the results are printed above, but they cannot be written: {error}")
