"""What peers take as services, under the load that the service was put under.

`python benchmarks/serving/peers.py --out benchmarks/results/serving.json` fits each peer on the
histories of the packaged model, puts FastAPI and uvicorn around it (peer_service.py, as many workers as
that document says of ours), asks what `run.py` asks for known users, and adds `peers` to the document:
latencies, and ratios to ours (above 1 is slower, and for `held` above 1 holds more). They keep no log,
read no events and drop no expired item: that is what theirs lack, not what they are charged for.
"""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from calls import Calls, served_payload
from steps import CALM_RATE, KNOWN_RATE, peak, step

from benchmarks.peers.environments import environment
from flows.processes import Children, answers, free_port
from flows.shell import CHECKOUT
from recloop import columns as c
from recloop.config import Home
from recloop.data.split import HISTORY
from recloop.registry.payload import Payload

HERE = Path(__file__).resolve().parent
PEERS = ("implicit-als", "rectools-sasrec")
_FIT_SECONDS = 600


def main(
    out: Annotated[Path, typer.Option(exists=True, help="What run.py wrote; `peers` is added.")],
    peer: Annotated[list[str] | None, typer.Option(help="Repeatable; default all.")] = None,
    home: Annotated[Path | None, typer.Option(help="With a packaged model.")] = None,
    envs: Annotated[Path | None, typer.Option(help="Where the environments are made.")] = None,
    seconds: Annotated[float, typer.Option(min=1, help="Of each step.")] = 60,
) -> None:
    """Fit, start, load, add."""
    source = Home(home.resolve()) if home else Home.from_environment()
    payload, document = served_payload(source), json.loads(out.read_text(encoding="utf-8"))
    found: dict[str, Any] = document.setdefault("peers", {})
    for name in peer or PEERS:
        python = _environment(name.partition("-")[0], envs or source.root / "peers" / "envs")
        steps = _measured(name, python, payload, document["workers"], seconds)
        found[name] = {**steps, "ratios": ratios(steps, document["steps"])}
        out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))


def ratios(theirs: dict[str, Any], ours: dict[str, Any]) -> dict[str, float | None]:
    """Theirs by ours: of latencies at the calm rate, and of the highest rate held; None by nothing."""
    named = {name: (theirs["calm"][name], ours["calm"][name]) for name in ("p50_ms", "p99_ms")}
    named["held"] = theirs["peak"]["held"], ours["peak"]["held"]
    return {name: round(a / b, 2) if b else None for name, (a, b) in named.items()}


def _measured(
    name: str, python: Path, payload: Payload, workers: int, seconds: float
) -> dict[str, Any]:
    calls, port = Calls(payload), free_port(3100, "RECLOOP_PEER_PORT")
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        _write(payload, work)
        children = Children(work / "children.json", work)
        told = [folder, name, str(port), str(workers)]
        command = [str(python), str(HERE / "peer_service.py"), *told]
        try:
            children.start(name, command, {"PYTHONPATH": str(CHECKOUT / "benchmarks" / "peers")})
            children.wait_until(name, lambda: answers(f"{url}/readyz"), _FIT_SECONDS)
            calm = step(url, name, calls.known(), CALM_RATE, seconds)
            known = step(url, name, calls.known(), KNOWN_RATE, seconds)
            return {"calm": calm, "known": known, "peak": peak(url, calls, seconds, known)}
        finally:
            children.stop()


def _write(payload: Payload, folder: Path) -> None:
    """The histories as interactions, oldest first, and the items, in ids."""
    ids = payload.items[c.ITEM]
    rows = payload.users.select(c.USER, HISTORY).explode(HISTORY).drop_nulls()
    rows.select(c.USER, ids.gather(rows[HISTORY]).alias(c.ITEM)).write_parquet(
        folder / "interactions.parquet"
    )
    payload.items.select(c.ITEM, c.CATEGORIES).write_parquet(folder / "items.parquet")


def _environment(family: str, envs: Path) -> Path:
    """The peer's environment, as benchmarks/peers makes it, with what serves it."""
    python = environment(family, envs)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--requirement", HERE / "requirements-service.txt"], check=True)
    return python


if __name__ == "__main__":
    typer.run(main)
