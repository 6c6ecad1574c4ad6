"""A service under steady load: `python -m benchmarks.robustness.soak --minutes 20 --rate 50`.

JSON on standard output: p50 and p99 of each minute, what the workers hold at its end, and the slope of
that, in bytes a minute, once the first quarter has filled what is filled once.
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
from recloop.store.events import EventStore


def soak(
    home: Home, *, seconds: float, parts: int, rate: float, database: Postgres | None = None
) -> dict[str, Any]:
    """Traffic for so many seconds, looked at in so many equal parts."""
    replica = Replica(home, extra=database.environment if database else {})
    replica.start()
    took: list[float] = []
    traffic = Traffic(replica.address, rate, lambda _path, _outcome, each: took.append(each))
    memory, rows = [replica.memory()], []
    outcomes: Counter[str] = Counter()
    try:
        with traffic.flowing():
            for _ in range(parts):
                time.sleep(seconds / parts)
                times = np.array(took[:])
                del took[: len(times)]
                memory.append(replica.memory())
                outcomes += traffic.reset()
                rows.append(_row(times, memory[-1]))
        outcomes += traffic.reset()
    finally:
        replica.stop()
    store = EventStore(database.url if database else home.database)
    stored = set(store.events()["event_id"])
    store.close()
    settled = memory[1 + parts // 4 :]
    slope = float(np.polyfit(range(len(settled)), settled, 1)[0]) if len(settled) > 1 else 0.0
    return {
        "store": "postgresql" if database else "sqlite",
        "seconds": seconds,
        "rate": rate,
        "requests": sum(outcomes.values()),
        "failed": failures(outcomes),
        "outcomes": dict(outcomes),
        "acknowledged": len(traffic.acknowledged),
        "lost": len(traffic.acknowledged - stored),
        "memory_bytes_a_part": slope,
        "parts": rows,
    }


def _row(times: np.ndarray, memory: int) -> dict[str, float]:
    found = {"requests": len(times), "memory_bytes": memory}
    if len(times):
        p50, p99 = np.percentile(times, [50, 99]) * 1e3
        found |= {"p50_ms": float(p50), "p99_ms": float(p99)}
    return found


def main() -> int:
    """Read the command line, run, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rate", type=float, default=50, help="requests a second")
    parser.add_argument("--postgres", action="store_true", help="instead of SQLite")
    parser.add_argument("--home", type=Path, help="with a model; the traffic stays in its store")
    told = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        postgres() if told.postgres else nullcontext() as database,
    ):
        home = Home(told.home.resolve()) if told.home else packaged(Path(folder))
        parts = max(1, round(told.minutes))
        found = soak(
            home, seconds=told.minutes * 60, parts=parts, rate=told.rate, database=database
        )
    print(json.dumps(found, indent=2))
    return bool(found["lost"] or found["failed"])


if __name__ == "__main__":
    sys.exit(main())
