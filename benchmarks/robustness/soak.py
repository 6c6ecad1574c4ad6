"""Service under steady load: `python -m benchmarks.robustness.soak --minutes 20 --rate 50`.

Prints JSON: the 99th percentile of latency in each third of the time, the growth of the workers'
memory over the whole time, and latency and memory of each part (one per minute, at least six). The
growth is that of a straight line fitted to all parts but the first quarter, in which caches fill.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.robustness.servers import Postgres, Replica, packaged, postgres
from benchmarks.robustness.traffic import Traffic, failures
from recloop.config import Home
from recloop.registry.versions import Registry
from recloop.store.event_store import EventStore

_PARTS = 6


def soak(
    home: Home, *, seconds: float, parts: int, rate: float, database: Postgres | None = None
) -> dict[str, Any]:
    """Send traffic for `seconds` and measure it in equal parts."""
    replica = Replica(home, extra=database.environment if database else {})
    replica.start()
    took: list[float] = []
    traffic = Traffic(
        replica.address, rate, lambda _path, _outcome, each: took.append(each), _films(home)
    )
    memory, rows, seen = [replica.memory()], [], 0
    outcomes: Counter[str] = Counter()
    try:
        with traffic.running():
            for _ in range(parts):
                time.sleep(seconds / parts)
                times = np.array(took[seen:])
                seen += len(times)
                memory.append(replica.memory())
                outcomes += traffic.reset()
                rows.append(_row(times, memory[-1]))
        outcomes += traffic.reset()
    finally:
        replica.stop()
    store = EventStore(database.url if database else home.database)
    stored = set(store.events()["event_id"])
    store.close()
    return {
        "store": "postgresql" if database else "sqlite",
        "seconds": seconds,
        "rate": rate,
        "requests": sum(outcomes.values()),
        "failed": failures(outcomes),
        "outcomes": dict(outcomes),
        "acknowledged": len(traffic.acknowledged),
        "lost": len(traffic.acknowledged - stored),
        "memory_growth_percent": growth(memory[1:]),
        "p99_ms_of_thirds": [_p99(third) for third in np.array_split(took, 3)],
        "parts": rows,
    }


def _films(home: Home) -> list[str]:
    registry = Registry(home)
    champion = registry.champion()
    if champion is None:
        raise LookupError(f"no champion in {home.root}")
    return registry.load(champion.version).catalogue.ids


def growth(memory: list[int]) -> float:
    """Return growth of memory over all parts in percent, fitted without the first quarter."""
    settled = memory[len(memory) // 4 :]
    slope, start = np.polyfit(range(len(settled)), settled, 1)
    return float(100 * slope * len(memory) / start)


def _p99(seconds: np.ndarray) -> float:
    return float(np.percentile(seconds, 99) * 1e3)


def _row(times: np.ndarray, memory: int) -> dict[str, float]:
    found: dict[str, float] = {"requests": len(times), "memory_bytes": memory}
    if len(times):
        found |= {"p50_ms": float(np.median(times) * 1e3), "p99_ms": _p99(times)}
    return found


def main() -> int:
    """Run from the command line, print JSON and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rate", type=float, default=50, help="requests per second")
    parser.add_argument("--postgres", action="store_true", help="use PostgreSQL instead of SQLite")
    parser.add_argument("--home", type=Path, help="home with a model; its store keeps the traffic")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        postgres() if arguments.postgres else nullcontext() as database,
    ):
        home = Home(arguments.home.resolve()) if arguments.home else packaged(Path(folder))
        parts = max(_PARTS, round(arguments.minutes))
        found = soak(
            home,
            seconds=arguments.minutes * 60,
            parts=parts,
            rate=arguments.rate,
            database=database,
        )
    print(json.dumps(found, indent=2))
    return bool(found["lost"] or found["failed"])


if __name__ == "__main__":
    sys.exit(main())
