"""Compare the speed of the services of two checkouts under the same load, in interleaved pairs.

    python -m benchmarks.versions.speed_ratio \
        --before CHECKOUT_BEFORE --home-before home-before \
        --after CHECKOUT --home-after home-after \
        --items items.parquet --interactions interactions.parquet --pairs 5

Each pair starts the service of one checkout, loads it with requests of known users at a constant
rate (open loop, `benchmarks/serving/load.py`), stops it, and does the same with the other checkout.
Prints JSON with the CPU time of the service's processes per response and the latencies of each run,
and the median over the pairs of the ratio after / before. A ratio below 1 means that the second
checkout is faster. CPU time per response varies less than latency on a busy machine.
"""

import argparse
import json
import random
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.serving.load import Call, send_at_rate, summary
from benchmarks.versions.request_mix import RECOMMEND
from benchmarks.versions.serve_model import serving
from benchmarks.versions.snapshot import Snapshot

_CATEGORIES, _EXCLUDED = 3, 10
_METRICS = ("cpu_ms_per_response", "p50_ms", "p99_ms")
_SIDES = ("before", "after")


@dataclass(frozen=True)
class Load:
    """The load of every run, and how the service is started.

    `rate` is in requests per second. The load lasts `warm_up` seconds that do not count and then
    `seconds` seconds that do.
    """

    rate: float
    warm_up: float
    seconds: float
    workers: int
    deadline_ms: float


def known_users(snapshot: Snapshot, seed: int) -> Iterator[Call]:
    """Yield requests of known users with three categories to choose from and ten exclusions."""
    rng = random.Random(seed)  # noqa: S311 - no secret depends on it
    while True:
        body = {
            "user_id": rng.choice(snapshot.users),
            "k": 10,
            "filters": {"categories": rng.sample(snapshot.categories, _CATEGORIES)},
            "exclude": rng.sample(snapshot.item_ids, _EXCLUDED),
        }
        yield Call(RECOMMEND, body)


def measure(
    checkout: Path, home: Path, snapshot: Snapshot, load: Load, seed: int
) -> dict[str, Any]:
    """Start the service of a checkout, load it, and return CPU time per response and latencies."""
    with serving(checkout, home, load.workers, load.deadline_ms) as service:
        calls = known_users(snapshot, seed)
        send_at_rate(service.url, calls, load.rate, load.warm_up)
        began = service.cpu_seconds()
        answered = send_at_rate(service.url, calls, load.rate, load.seconds)
        spent = service.cpu_seconds() - began
    return {
        "cpu_ms_per_response": round(1e3 * spent / len(answered), 4),
        **summary(answered, load.rate),
    }


def ratios(pairs: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Return each pair's ratios after / before and their median, for each metric."""
    found = {
        name: [round(pair["after"][name] / pair["before"][name], 4) for pair in pairs]
        for name in _METRICS
    }
    return {
        name: {"median": round(statistics.median(values), 4), "pairs": values}
        for name, values in found.items()
    }


def main() -> int:
    """Read the command line, measure all pairs, print JSON."""
    parser = argparse.ArgumentParser(description="Compare the speed of two checkouts.")
    for side in _SIDES:
        parser.add_argument(f"--{side}", type=Path, required=True, metavar="CHECKOUT")
        parser.add_argument(f"--home-{side}", type=Path, required=True, metavar="HOME")
    parser.add_argument("--items", type=Path, required=True, help="items.parquet of the snapshot")
    parser.add_argument("--interactions", type=Path, required=True, help="its interactions.parquet")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--rate", type=float, default=100, help="requests per second")
    parser.add_argument("--seconds", type=float, default=30, help="of measurement in each run")
    parser.add_argument("--warm-up", type=float, default=5, help="seconds that do not count")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--deadline-ms", type=float, default=100, help="0: no deadline")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    snapshot = Snapshot.read(arguments.items, arguments.interactions)
    load = Load(
        arguments.rate,
        arguments.warm_up,
        arguments.seconds,
        arguments.workers,
        arguments.deadline_ms,
    )
    sides = {
        "before": (arguments.before.resolve(), arguments.home_before.resolve()),
        "after": (arguments.after.resolve(), arguments.home_after.resolve()),
    }
    pairs: list[dict[str, dict[str, Any]]] = []
    for number in range(arguments.pairs):
        pair = {}
        for side, (checkout, home) in sides.items():
            sys.stderr.write(f"pair {number + 1} of {arguments.pairs}: {side}\n")
            # Both sides of a pair get the same requests.
            seed = arguments.seed + number
            pair[side] = measure(checkout, home, snapshot, load, seed)
        pairs.append(pair)
    found = {"load": vars(load), "ratio": ratios(pairs), "pairs": pairs}
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
