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

from benchmarks.robustness.servers import Postgres, Replica, missing, nginx, packaged, postgres
from benchmarks.robustness.traffic import Traffic, failures
from recloop.store.events import EventStore

_BETWEEN_SECONDS = 3.0


def roll(folder: Path, database: Postgres, rate: float) -> dict[str, Any]:
    """Traffic through nginx while one replica after the other is replaced."""
    home = packaged(folder)
    replicas = [Replica(home, name, database.environment, workers=1) for name in ("one", "two")]
    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(Replica.start, replicas))
        with nginx(folder / "nginx", replicas) as address:
            took: list[float] = []
            traffic = Traffic(address, rate, lambda _path, _outcome, each: took.append(each))
            with traffic.flowing():
                for replica in replicas:
                    time.sleep(_BETWEEN_SECONDS)
                    replica.drain()
                    replica.start()
                time.sleep(_BETWEEN_SECONDS)
    finally:
        for replica in replicas:
            replica.stop()
    outcomes, stored = traffic.reset(), EventStore(database.url)
    lost = traffic.acknowledged - set(stored.events()["event_id"])
    stored.close()
    return {
        "rate": rate,
        "replaced": len(replicas),
        "requests": sum(outcomes.values()),
        "failed": failures(outcomes),
        "outcomes": dict(outcomes),
        "acknowledged": len(traffic.acknowledged),
        "lost": len(lost),
        "slowest_seconds": max(took),
    }


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
