"""`recloop off-policy`: the click-through that another arm would have."""

from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from rich.console import Console
from rich.table import Table

from recloop import columns as c
from recloop.cli_shared import door, fail, loaded_champion
from recloop.config import ConfigError, Home
from recloop.evaluation.off_policy import Estimate, Form, NoExplorationError, estimate, on_policy
from recloop.recommender.arms import UnknownArmError
from recloop.serving.again import AskedAgain, CountsGoneError, Memory, ask_again
from recloop.serving.policy import ServingPolicy
from recloop.store.events import EventStore

FORMS: dict[Form, str] = {"place": "the place and those above", "list": "the whole list"}

app = typer.Typer()


@app.command("off-policy")
def off_policy(
    arm: Annotated[str, typer.Option(help="Whose click-through; `champion` draws no lots.")],
    policy: Annotated[
        Path | None, typer.Option(help="YAML with the arms; by default that of RECLOOP_POLICY.")
    ] = None,
    lists: Annotated[int, typer.Option(help="Of the newest lists, at most so many.")] = 20_000,
) -> None:
    """Estimate the click-through of an arm from the lists of arms that explore.

    The arm may have a share of 0 in the file: it is asked about before anybody gets its lists.
    """
    home = Home.from_environment()
    store = EventStore.of(home)
    found = loaded_champion(home, door(store))
    if found is None:
        fail("there is no champion yet: `make run` trains one")
    version, recommender = found
    explored, events = store.served().filter(_explored(version)).tail(lists), store.events()
    erased = {user: store.personal.erasure_of(user) for user in explored[c.USER].unique()}
    try:
        house = ServingPolicy.read(policy) if policy else ServingPolicy.from_environment()
        target = house.experiment.policy(arm)
        asked = ask_again(explored, events, Memory.of(recommender, events, erased), house, target)
        forms = {form: estimate(asked.logged, form) for form in FORMS}
    except (ConfigError, NoExplorationError, UnknownArmError, CountsGoneError) as error:
        fail(str(error.args[0]))
    _print(version, arm, asked, forms)


def _explored(version: str) -> pl.Expr:
    left_to_chance = pl.col("propensities").list.min() < 1
    return (pl.col("model_version") == version) & left_to_chance


def _print(version: str, arm: str, asked: AskedAgain, forms: dict[Form, Estimate]) -> None:
    console, lists = Console(), len(asked.logged.users)
    console.print(
        f"{version}: {lists} lists that explored; {asked.left_out} could not be asked again"
    )
    console.print(f"share from which something was taken: {on_policy(asked.logged)}; as {arm}:")
    table = Table("if that depends on", "SNIPS", "IPS", "clipped", "worth lists", "mean weight")
    for form, found in forms.items():
        numbers = (str(found.snips), str(found.ips), str(found.clipped))
        table.add_row(FORMS[form], *numbers, f"{found.effective:.0f}", f"{found.mean_weight:.3f}")
    console.print(table)
