"""A rolling update under load: `python -m benchmarks.robustness.rolling --rate 40`.

Two replicas share one PostgreSQL behind nginx with the configuration of deploy/. Each in turn is
stopped with SIGTERM and started again under load. Prints JSON with the failed requests and the lost
acknowledged events; the exit code is 1 if there are any.
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
from recloop.store.event_store import EventStore

_BETWEEN_SECONDS = 3.0


def measure_update(folder: Path, database: Postgres, rate: float) -> dict[str, Any]:
    """Send traffic through nginx while each replica is restarted."""
    home = packaged(folder)
    replicas = [Replica(home, name, database.environment, workers=1) for name in ("one", "two")]
    seconds: list[float] = []
    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(Replica.start, replicas))
        with nginx(folder / "nginx", replicas) as address:
            traffic = Traffic(address, rate, lambda _path, _outcome, each: seconds.append(each))
            with traffic.running():
                ended = [_restart(replica) for replica in replicas]
                time.sleep(_BETWEEN_SECONDS)
    finally:
        for replica in replicas:
            replica.stop()
    outcomes, stored = traffic.reset(), EventStore(database.url)
    lost = traffic.acknowledged - set(stored.events()["event_id"])
    stored.close()
    p50, p99 = np.percentile(seconds, [50, 99]) * 1e3
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
        "slowest_ms": max(seconds) * 1e3,
    }


def _restart(replica: Replica) -> float:
    """Restart a replica and return the seconds that it took to stop."""
    time.sleep(_BETWEEN_SECONDS)
    signalled = time.monotonic()
    replica.drain()
    ended = time.monotonic() - signalled
    replica.start()
    return ended


def main() -> int:
    """Run from the command line, print JSON and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=40, help="requests per second")
    arguments = parser.parse_args()
    absent = missing("initdb", "nginx")
    if absent:
        sys.exit(f"not installed: {', '.join(absent)}")
    with tempfile.TemporaryDirectory() as folder, postgres() as database:
        found = measure_update(Path(folder), database, arguments.rate)
    print(json.dumps(found, indent=2))
    return bool(found["failed"] or found["lost"])


if __name__ == "__main__":
    sys.exit(main())
