"""Latency of other recommenders as services, under the same load as recloop.

`python -m benchmarks.serving.peers --out benchmarks/results/serving.json` fits each peer on the
histories of the packaged model, serves it with FastAPI and uvicorn (peer_service.py, with the same
number of workers), sends the requests of known users of `run.py`, and adds `peers` to the document:
latencies, and ratios of theirs to ours. A latency ratio above 1 means that the peer is slower, a
ratio of `held` above 1 that it holds a higher rate. The peers log no lists, read no events and
filter no expired items, so they do less work per request than recloop.
"""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.peers.environments import environment
from benchmarks.serving.calls import Calls, served_payload
from benchmarks.serving.rates import BUSY_RATE, CALM_RATE, find_highest_rate, measure_rate
from flows.processes import ProcessGroup, free_port, is_up
from recloop import columns as c
from recloop.config import Home
from recloop.data.split import HISTORY
from recloop.registry.payload import Payload
from recloop.settings import read_settings

HERE = Path(__file__).resolve().parent
PEERS = ("implicit-als", "rectools-sasrec")
_FIT_SECONDS = 600


def main(
    out: Annotated[
        Path, typer.Option(exists=True, help="Output file of run.py, to which `peers` is added.")
    ],
    peer: Annotated[
        list[str] | None, typer.Option(help="Name of a peer; repeatable; by default all.")
    ] = None,
    home: Annotated[Path | None, typer.Option(help="Home with a packaged model.")] = None,
    envs: Annotated[Path | None, typer.Option(help="Folder for the environments.")] = None,
    seconds: Annotated[float, typer.Option(min=1, help="Seconds of each step.")] = 60,
) -> None:
    """Measure the peers and add the results to the document."""
    source = Home(home.resolve()) if home else read_settings().home
    payload, document = served_payload(source), json.loads(out.read_text(encoding="utf-8"))
    found: dict[str, Any] = document.setdefault("peers", {})
    for name in peer or PEERS:
        python = _environment(name.partition("-")[0], envs or source.root / "peers" / "envs")
        steps = _measured(name, python, payload, document["workers"], seconds)
        found[name] = {**steps, "ratios": ratios(steps, document["steps"])}
        out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))


def ratios(theirs: dict[str, Any], ours: dict[str, Any]) -> dict[str, float | None]:
    """Return ratios of theirs to ours: latencies at the calm rate and the highest rate held.

    A ratio is None if ours is zero.
    """
    named = {name: (theirs["calm"][name], ours["calm"][name]) for name in ("p50_ms", "p99_ms")}
    named["held"] = theirs["peak"]["held"], ours["peak"]["held"]
    return {name: round(a / b, 2) if b else None for name, (a, b) in named.items()}


def _measured(
    name: str, python: Path, payload: Payload, workers: int, seconds: float
) -> dict[str, Any]:
    calls, port = Calls(payload), free_port(3100)
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        _write(payload, work)
        children = ProcessGroup(work / "children.json", work)
        arguments = [folder, name, str(port), str(workers)]
        command = [str(python), "-m", "benchmarks.serving.peer_service", *arguments]
        try:
            # Packages of our environment must not take the place of the peer's.
            children.start(name, command, {"PYTHONPATH": ""})
            children.wait_until(name, lambda: is_up(f"{url}/readyz"), _FIT_SECONDS)
            calm = measure_rate(url, name, calls.user_requests(), CALM_RATE, seconds)
            busy = measure_rate(url, name, calls.user_requests(), BUSY_RATE, seconds)
            return {
                "calm": calm,
                "known": busy,
                "peak": find_highest_rate(url, calls, seconds, busy),
            }
        finally:
            children.stop()


def _write(payload: Payload, folder: Path) -> None:
    """Write the histories as interactions, oldest first, and the items, with ids."""
    ids = payload.items[c.ITEM]
    rows = payload.users.select(c.USER, HISTORY).explode(HISTORY).drop_nulls()
    rows.select(c.USER, ids.gather(rows[HISTORY]).alias(c.ITEM)).write_parquet(
        folder / "interactions.parquet"
    )
    payload.items.select(c.ITEM, c.CATEGORIES).write_parquet(folder / "items.parquet")


def _environment(family: str, envs: Path) -> Path:
    """Return the Python of the peer's environment, with FastAPI and uvicorn installed."""
    python = environment(family, envs)
    pip: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    subprocess.run([*pip, "--requirement", HERE / "requirements-service.txt"], check=True)
    return python


if __name__ == "__main__":
    typer.run(main)
