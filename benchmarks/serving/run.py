"""Latency of the service under open-loop load.

`python -m benchmarks.serving.run --out benchmarks/results/serving.json` copies a home with a
packaged model to a temporary folder, builds this checkout's Bento there, starts it as `make serve`
does, and prints latencies, errors, memory and seconds until ready as JSON. It then does the same
with a ranker (see `with_ranker`) that every response waits for. The machine should be otherwise
idle. The first seconds of load before each step are warm-up and not counted.
"""

import os
import platform
import shutil
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from benchmarks.output import write_json
from benchmarks.serving.calls import Calls, served_payload
from benchmarks.serving.rates import (
    BUSY_RATE,
    CALM_RATE,
    WARM_UP_SECONDS,
    find_highest_rate,
    measure_rate,
)
from benchmarks.serving.with_ranker import add_ranker, check_ranker_is_used
from flows.shell import run
from flows.system import System
from recloop.config import Home
from recloop.registry.payload import Payload
from recloop.registry.versions import Registry
from recloop.settings import read_settings


def main(
    home: Annotated[Path | None, typer.Option(help="Home with a packaged model.")] = None,
    workers: Annotated[int, typer.Option(min=1)] = 1,
    seconds: Annotated[float, typer.Option(min=1, help="Seconds of each step.")] = 60,
    out: Annotated[Path | None, typer.Option(help="File to write the JSON to as well.")] = None,
) -> None:
    """Measure a copy of the home and print the result."""
    source = Home(home.resolve()) if home else read_settings().home
    if Registry(source).champion() is None:
        raise typer.BadParameter(f"no champion in {source.root}: `make run` makes one")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        copied = _copy(source, Home(Path(name)))
        os.environ["RECLOOP_WORKERS"] = str(workers)
        with System.running(read_settings().in_home(copied.root), "bench") as system:
            started = time.monotonic()
            system.start_service()
            ready = time.monotonic() - started
            steps = _steps(system.addresses.service, served_payload(copied), seconds)
            memory = memory_of(system.processes.processes["service"].pid)
        ranked = _ranked(copied, seconds)
    machine = {"cpus": sorted(os.sched_getaffinity(0)), "machine": platform.machine()}
    document = {
        "machine": machine,
        "workers": workers,
        "seconds_per_step": seconds,
        "warm_up_seconds_excluded": WARM_UP_SECONDS,
        "seconds_until_ready": round(ready, 2),
        "steps": steps,
        "memory_mb": memory,
        "ranked": ranked,
    }
    write_json(document, out)


def _copy(source: Home, target: Home) -> Home:
    """Copy the models and events of a home and build this checkout's Bento in the copy."""
    shutil.copytree(source.models / "models", target.models / "models", symlinks=True)
    shutil.copy(source.champion, target.champion)
    if source.events.exists():
        for path in source.root.glob(f"{source.events.name}*"):
            shutil.copy(path, target.root)
    build_bento(target)
    return target


def build_bento(home: Home) -> None:
    """Build this checkout's Bento in a home."""
    extra = {"BENTOML_HOME": str(home.models), "RECLOOP_HOME": str(home.root)}
    run(["bentoml", "build", "src", "-f", "bentofile.yaml"], extra=extra)


def _steps(url: str, payload: Payload, seconds: float) -> dict[str, Any]:
    calls = Calls(payload)
    calm = measure_rate(url, "known users", calls.user_requests(), CALM_RATE, seconds)
    busy = measure_rate(url, "known users", calls.user_requests(), BUSY_RATE, seconds)
    return {
        "calm": calm,
        "known": busy,
        "queries": measure_rate(url, "fresh queries", calls.query_requests(), 50, seconds),
        "mixed": measure_rate(url, "a fifth events", calls.mixed_with_events(), 100, seconds),
        "peak": find_highest_rate(url, calls, seconds, busy),
    }


def _ranked(home: Home, seconds: float) -> dict[str, Any]:
    """Measure known users one after another with a ranker and no deadline that it could miss."""
    card = add_ranker(home)
    os.environ["RECLOOP_DEADLINE_MS"] = "0"
    with System.running(read_settings().in_home(home.root), "bench") as system:
        system.start_service()
        url, calls = system.addresses.service, Calls(served_payload(home))
        check_ranker_is_used(url, calls)
        calm = measure_rate(url, "known users, ranked", calls.user_requests(), CALM_RATE, seconds)
        memory = memory_of(system.processes.processes["service"].pid)
    return {"ranker": card, "calm": calm, "memory_mb": memory}


def memory_of(pid: int) -> list[dict[str, Any]]:
    """Return the memory of the server and of each child in MiB, largest last.

    PSS divides memory that several processes share among them.
    """
    parent = psutil.Process(pid)
    full = [process.memory_full_info() for process in (parent, *parent.children(recursive=True))]
    sizes = sorted((info.rss, info.pss) for info in full)
    return [{"rss": round(rss / 2**20), "pss": round(pss / 2**20)} for rss, pss in sizes]


if __name__ == "__main__":
    typer.run(main)
