"""Command `recloop off-policy`: estimate the click-through of another arm."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from recloop import columns as c
from recloop.cli.shared import fail, load_champion, open_pseudonyms, open_store, settings
from recloop.config import ConfigError

if TYPE_CHECKING:
    import polars as pl

    from recloop.evaluation.list_replay import ReplayedLists
    from recloop.evaluation.off_policy import Estimate, Weighting

# Assumptions about what the reward at a position depends on.
WEIGHTINGS: "dict[Weighting, str]" = {
    "position": "this position and those above",
    "list": "the whole list",
}

app = typer.Typer()


@app.command("off-policy")
def off_policy(
    arm: Annotated[
        str, typer.Option(help="Arm to estimate; `champion` is the arm without exploration.")
    ],
    policy: Annotated[
        Path | None, typer.Option(help="YAML file with the arms; by default RECLOOP_POLICY.")
    ] = None,
    lists: Annotated[int, typer.Option(help="Use at most this many of the newest lists.")] = 20_000,
) -> None:
    """Estimate the click-through of an arm from the lists of arms that explore.

    The arm may have a share of 0 in the file, to estimate it before any user gets its lists.
    """
    from recloop.evaluation.list_replay import (
        CountsUnavailableError,
        PointInTimeHistories,
        replay_lists,
    )
    from recloop.evaluation.off_policy import NoExplorationError, estimate
    from recloop.recommender.lists.experiments import UnknownArmError
    from recloop.recommender.site_rules import SiteRules

    home = settings().home
    store = open_store(home)
    champion = load_champion(home, open_pseudonyms(store))
    if champion is None:
        fail("there is no champion yet: `make run` trains one")
    version, recommender = champion
    explored, events = store.served().filter(_explored(version)).tail(lists), store.events()
    erasure_counts = {user: store.personal.last_erasure(user) for user in explored[c.USER].unique()}
    try:
        rules = SiteRules.from_file(policy or settings().policy)
        target = rules.experiment.policy(arm)
        replayed = replay_lists(
            explored,
            events,
            PointInTimeHistories.from_events(recommender, events, erasure_counts),
            rules,
            target,
        )
        estimates = {weighting: estimate(replayed.lists, weighting) for weighting in WEIGHTINGS}
    except (ConfigError, NoExplorationError, UnknownArmError, CountsUnavailableError) as error:
        fail(str(error.args[0]))
    _print(version, arm, replayed, estimates)


def _explored(version: str) -> "pl.Expr":
    import polars as pl

    random_item = pl.col("propensities").list.min() < 1
    return (pl.col("model_version") == version) & random_item


def _print(
    version: str, arm: str, replayed: "ReplayedLists", estimates: "dict[Weighting, Estimate]"
) -> None:
    from recloop.evaluation.off_policy import on_policy

    console, lists = Console(), len(replayed.lists.users)
    console.print(
        f"{version}: {lists} lists of arms that explore;"
        f" {replayed.skipped} could not be reconstructed"
    )
    console.print(f"click-through of these lists: {on_policy(replayed.lists)}")
    console.print(f"estimated click-through of {arm}:")
    table = Table(
        "a click depends on", "SNIPS", "IPS", "clipped IPS", "effective lists", "mean weight"
    )
    for weighting, result in estimates.items():
        numbers = (str(result.snips), str(result.ips), str(result.clipped))
        table.add_row(
            WEIGHTINGS[weighting],
            *numbers,
            f"{result.effective_sample_size:.0f}",
            f"{result.mean_weight:.3f}",
        )
    console.print(table)
