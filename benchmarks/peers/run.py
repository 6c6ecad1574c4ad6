"""Other recommenders (peers) on the same folder and requests, measured with recloop's metrics.

`python -m benchmarks.peers.run FOLDER --peer rectools-sasrec --peer implicit-als --out peers.json`
creates the peers' environments (once), tunes each peer on validation data, refits it, and prints
every metric of its lists with an interval. Peers that fail are named under `failed`.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from benchmarks.output import log, machine, write_json
from benchmarks.peers.environments import environment
from benchmarks.peers.evaluate_lists import evaluate_lists
from benchmarks.peers.make_requests import PARTS, make_requests
from flows.shell import CHECKOUT
from recloop.benchmark.config import Protocol
from recloop.evaluation.report import EvaluateConfig
from recloop.settings import read_settings

PEERS = (
    *("implicit-als", "implicit-bm25", "implicit-cosine"),
    *("lenskit-ease", "lenskit-itemknn", "lenskit-implicitmf"),
    *("recbole-ease", "recbole-itemknn", "recbole-bpr"),
    *("rectools-sasrec", "rectools-bert4rec"),
)
# Slow peers, which run only if they are named.
SLOW = ("recbole-sasrec",)


def main(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    peer: Annotated[
        list[str] | None, typer.Option(help="Repeatable; default all but slow.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
    envs: Annotated[Path | None, typer.Option(help="Folder of the environments.")] = None,
    work: Annotated[Path | None, typer.Option(help="Folder for requests and lists.")] = None,
    protocol: Annotated[Protocol, typer.Option(help="As in `recloop evaluate`.")] = "next-item",
    mask_seen: Annotated[bool, typer.Option("--mask-seen/--keep-seen")] = True,
    settings: Annotated[
        int | None, typer.Option(min=1, help="Number of settings of each grid to try.")
    ] = None,
) -> None:
    """Run the peers, measure their lists and print the results."""
    names = peer or list(PEERS)
    if unknown := sorted(set(names) - {*PEERS, *SLOW}):
        raise typer.BadParameter(f"unknown peer {', '.join(unknown)}; known: {PEERS + SLOW}")
    home = read_settings().home.root / "peers"
    work = (work or home / "work" / folder.name).resolve()
    work.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        make_requests(folder, part, protocol, repeats=not mask_seen).write_parquet(
            work / f"{part}.parquet"
        )
    failed: dict[str, str] = {}
    for name in names:
        log(name)
        if problem := _run_peer(
            name, folder.resolve(), envs or home / "envs", work, mask_seen, settings
        ):
            failed[name] = problem
    succeeded = [name for name in names if name not in failed]
    document = _report(folder, succeeded, work) | {
        "protocol": protocol,
        "mask_seen": mask_seen,
        "failed": failed,
    }
    write_json(document, out)
    raise typer.Exit(1 if failed else 0)


def _run_peer(
    name: str, folder: Path, envs: Path, work: Path, mask_seen: bool, settings: int | None
) -> str | None:
    """Run one peer and return an error message, None if it succeeded."""
    family = name.partition("-")[0]
    arguments: list[str | Path] = ["-m", f"benchmarks.peers.{family}_peer", folder, "--model", name]
    arguments += ["--valid", work / "valid.parquet", "--test", work / "test.parquet"]
    arguments += ["--out", work, "--mask-seen" if mask_seen else "--no-mask-seen"]
    arguments += ["--settings", str(settings)] if settings else []
    # Packages of our environment must not take the place of the peer's.
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    output = work / f"{name}.log"
    try:
        python = environment(family, envs)
        with output.open("w", encoding="utf-8") as file:
            subprocess.run(
                [python, *arguments],
                cwd=CHECKOUT,
                env=environ,
                check=True,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
    except subprocess.CalledProcessError as error:
        lines = output.read_text(encoding="utf-8").splitlines() if output.exists() else []
        last = [line for line in lines if line.strip()][-1:]
        return f"exit code {error.returncode}: {' '.join(last)}"
    return None


def _report(folder: Path, names: list[str], work: Path) -> dict[str, Any]:
    requests = pl.read_parquet(work / "test.parquet")
    items = pl.read_parquet(folder / "items.parquet")
    lists = {name: pl.read_parquet(work / f"{name}.parquet") for name in names}
    models = evaluate_lists(lists, requests, items, EvaluateConfig())
    for name in names:
        models[name] |= json.loads((work / f"{name}.json").read_text(encoding="utf-8"))
    return {
        "data": folder.name,
        "items": items.height,
        "requests": requests.height,
        "machine": machine(),
        "models": models,
    }


if __name__ == "__main__":
    typer.run(main)
