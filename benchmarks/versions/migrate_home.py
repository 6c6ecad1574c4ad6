"""Open a home and a PostgreSQL store of an older version with a newer one, and retrain there.

    python -m benchmarks.versions.migrate_home --before CHECKOUT_BEFORE --home home-before \
        --after CHECKOUT

The older checkout creates an API key and stores events, in a copy of its home and in a temporary
PostgreSQL server. Then the newer checkout serves from both, retrains, and serves the new champion.
Prints JSON with the events and the answers before and after the retrain. The exit code is 1 if an
event is lost, the key is refused, or no model of the newer version serves in the end.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.output import log, write_json
from benchmarks.robustness.servers import Postgres, postgres
from benchmarks.versions.request_mix import RECOMMEND
from benchmarks.versions.serve_model import environment, serving_in
from recloop.store.event_store import EventStore

_EVENTS, _BATCH = 300, 100
_REFUSED = 401


@dataclass(frozen=True)
class Version:
    """A checkout of one version, and the home and the settings with which its commands run."""

    checkout: Path
    home: Path
    settings: Mapping[str, str]

    def run(self, program: str, *words: str) -> str:
        """Run a program of the checkout's environment and return what it prints.

        Raises:
            RuntimeError: The program fails; the message ends with its last lines.
        """
        command = [str(self.checkout / ".venv" / "bin" / program), *words]
        variables = {**environment(self.checkout, self.home), **self.settings}
        variables["PYTHONPATH"] += f":{self.checkout}"
        done = subprocess.run(
            command, cwd=self.checkout, env=variables, capture_output=True, text=True, check=False
        )
        if done.returncode:
            end = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
            raise RuntimeError(f"{program} {' '.join(words)} failed:\n{end}")
        return done.stdout.strip()


def store_events(service: str, headers: Mapping[str, str]) -> None:
    """Send clicks of a few users to a service, in batches."""
    events = [
        {
            "event_id": f"migrated-{number}",
            "user_id": f"migrated-user-{number % 7}",
            "item_id": str(1 + number),
            "event": "click",
            "timestamp": f"2024-01-01T00:{number // 60:02d}:{number % 60:02d}Z",
        }
        for number in range(_EVENTS)
    ]
    for start in range(0, _EVENTS, _BATCH):
        batch = {"events": events[start : start + _BATCH]}
        httpx.post(f"{service}/v1/events", json=batch, headers=headers).raise_for_status()


def recommend(service: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """Request a list with the key and without it, and return statuses, version and length."""
    body = {"user_id": "migrated-user-1", "k": 10}
    answer = httpx.post(f"{service}{RECOMMEND}", json=body, headers=headers)
    listed = answer.json() if answer.is_success else {}
    return {
        "with_key": answer.status_code,
        "without_key": httpx.post(f"{service}{RECOMMEND}", json=body).status_code,
        "model_version": listed.get("model_version"),
        "items": len(listed.get("items", [])),
    }


def kept_events(url: str) -> int:
    """Return how many of the sent events a store has."""
    store = EventStore(url)
    ids = store.events()["event_id"]
    store.close()
    return int(ids.str.starts_with("migrated-").sum())


def migrate(before: Version, after: Version, database: Postgres) -> dict[str, Any]:
    """Use the older version, then the newer one in the same home and store; return what happened.

    Args:
        before: The older version.
        after: The newer version, with the same home and settings.
        database: The server of the store.
    """
    scopes = ("--scope", "recommend", "--scope", "ingest")
    key = before.run("recloop", "keys", "create", "shop", *scopes).splitlines()[-1]
    headers = {"Authorization": f"Bearer {key}"}
    log("older version: store events")
    with serving_in(before.checkout, before.home, before.settings) as service:
        store_events(service.url, headers)
        old = recommend(service.url, headers)
    log("newer version: serve")
    with serving_in(after.checkout, after.home, after.settings, "/livez") as service:
        opened = recommend(service.url, headers)
    kept = kept_events(database.url)
    log("newer version: retrain")
    reasons = after.run("python", "-m", "flows.once", "retrain").splitlines()
    with serving_in(after.checkout, after.home, after.settings) as service:
        retrained = recommend(service.url, headers)
    return {
        "events": {"sent": _EVENTS, "opened": kept, "retrained": kept_events(database.url)},
        "before": old,
        "opened": opened,
        "retrain": reasons,
        "retrained": retrained,
    }


def passes(found: dict[str, Any]) -> bool:
    """Return whether nothing is lost, the key is valid, and another model than before serves."""
    served = found["retrained"]
    return (
        set(found["events"].values()) == {_EVENTS}
        and found["opened"]["without_key"] == served["without_key"] == _REFUSED
        and found["opened"]["with_key"] != _REFUSED
        and served["items"] > 0
        and served["model_version"] != found["before"]["model_version"]
    )


def main() -> int:
    """Read the command line, migrate a copy of the home, print JSON."""
    parser = argparse.ArgumentParser(description="Open an older home and retrain in it.")
    parser.add_argument("--before", type=Path, required=True, metavar="CHECKOUT")
    parser.add_argument("--home", type=Path, required=True, help="made by `make run` of it")
    parser.add_argument("--after", type=Path, required=True, metavar="CHECKOUT")
    parser.add_argument("--out", type=Path, help="file for the JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, postgres() as database:
        home = Path(name) / "home"
        shutil.copytree(arguments.home, home, symlinks=True)
        settings = database.environment | {"RECLOOP_AUTH": "keys", "RECLOOP_DEADLINE_MS": "0"}
        found = migrate(
            Version(arguments.before.resolve(), home, settings),
            Version(arguments.after.resolve(), home, settings),
            database,
        )
    write_json(found, arguments.out)
    return 0 if passes(found) else 1


if __name__ == "__main__":
    sys.exit(main())
