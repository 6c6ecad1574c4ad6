"""A rolling update under load: `python -m benchmarks.robustness.rolling --rate 40`.

Two replicas on one PostgreSQL behind nginx, with the configuration of deploy/. Each in turn is asked to
end (SIGTERM) and started anew while people go on asking. JSON with the requests that failed and the
acknowledged events that were lost; the exit code is 1 where there are any.
"""

import argparse
import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.robustness.servers import Postgres, Replica, missing, nginx, packaged, postgres
from benchmarks.robustness.traffic import Traffic, failures
from recloop.store.events import EventStore

_BETWEEN_SECONDS = 3.0


def roll(folder: Path, database: Postgres, rate: float) -> dict[str, Any]:
    """Traffic through nginx while one replica after the other is replaced."""
    home = packaged(folder)
    replicas = [Replica(home, name, database.environment, workers=1) for name in ("one", "two")]
    took: list[float] = []
    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(Replica.start, replicas))
        with nginx(folder / "nginx", replicas) as address:
            traffic = Traffic(address, rate, lambda _path, _outcome, each: took.append(each))
            with traffic.flowing():
                ended = [_replaced(replica) for replica in replicas]
                time.sleep(_BETWEEN_SECONDS)
    finally:
        for replica in replicas:
            replica.stop()
    outcomes, stored = traffic.reset(), EventStore(database.url)
    lost = traffic.acknowledged - set(stored.events()["event_id"])
    stored.close()
    p50, p99 = np.percentile(took, [50, 99]) * 1e3
    return {
        "rate": rate,
        "seconds_until_ended": ended,
        "requests": sum(outcomes.values()),
        "failed": failures(outcomes),
        "outcomes": dict(outcomes),
        "acknowledged": len(traffic.acknowledged),
        "lost": len(lost),
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "slowest_ms": max(took) * 1e3,
    }


def _replaced(replica: Replica) -> float:
    """Seconds that it took to end."""
    time.sleep(_BETWEEN_SECONDS)
    asked = time.monotonic()
    replica.drain()
    ended = time.monotonic() - asked
    replica.start()
    return ended


def main() -> int:
    """Read the command line, run, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=40, help="requests a second")
    told = parser.parse_args()
    absent = missing("initdb", "nginx")
    if absent:
        sys.exit(f"not installed: {', '.join(absent)}")
    with tempfile.TemporaryDirectory() as folder, postgres() as database:
        found = roll(Path(folder), database, told.rate)
    print(json.dumps(found, indent=2))
    return bool(found["failed"] or found["lost"])


if __name__ == "__main__":
    sys.exit(main())
