"""What a catalogue costs as it grows: latency, memory, time until ready, and what candidates miss.

`python benchmarks/serving/growth.py --out benchmarks/results/growth.json` makes a synthetic model of each
size (see `synthetic`), packages it into a temporary home, starts the service as `make serve` does, asks it
50 times a second, and prints JSON. `topics` filters by three of the finest categories, which leave so few
items that each is scored; `departments` by three of forty; `unfiltered` by none. `queries` are random
words, which among synthetic texts are random directions: nothing is harder to find. Recall is of the first
hundred places, against those of scoring every item with every item counted. The tower is one of the
default kind, untrained; the encoder is MiniLM. A million items take half an hour, 10 GB of disk and as
much memory. Give it a quiet machine.
"""

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import torch
import typer
from calls import Calls
from load import Call
from run import bento, memory
from steps import WARM_UP_SECONDS, step
from synthetic import Brain, Shape, payload

from flows.system import System
from recloop import columns as c
from recloop.config import Home
from recloop.data.catalogue import Catalogue
from recloop.models.query import QueryConfig
from recloop.models.scope import Part, Rows, Scope
from recloop.models.tower import TowerConfig, UserTower
from recloop.recommender.gate import Gate
from recloop.recommender.recommender import Recommender
from recloop.recommender.request import Request
from recloop.recommender.retrieval import Retrieval, RetrievalConfig, Search
from recloop.registry.manifest import Lineage
from recloop.registry.payload import Payload
from recloop.registry.store import Registry
from recloop.training.export import export_tower
from recloop.training.queryside import frozen_query

_SIZES = [10_000, 100_000, 1_000_000]
_RATE, _USERS, _JUDGED, _PLACES = 50, 20_000, 50, 100
_TOWER = TowerConfig(dim=128)
_NOW = datetime(2026, 6, 1, tzinfo=UTC)


def main(
    items: Annotated[list[int] | None, typer.Option(help="Repeatable.")] = None,
    above: Annotated[int, typer.Option(help="Larger ones have candidates.")] = 1_000,
    workers: Annotated[int, typer.Option(min=1)] = 1,
    seconds: Annotated[float, typer.Option(min=1, help="Of each step.")] = 30,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
) -> None:
    """Make, package, start, load, compare, print."""
    os.environ["RECLOOP_WORKERS"] = str(workers)
    retrieval, brain = RetrievalConfig(above=above), _brain()
    document: dict[str, Any] = {
        "machine": {"cpus": sorted(os.sched_getaffinity(0)), "machine": platform.machine()},
        "workers": workers,
        "rate": _RATE,
        "seconds_per_step": seconds,
        "warm_up_seconds_excluded": WARM_UP_SECONDS,
        "retrieval": retrieval.model_dump(),
        "sizes": {},
    }
    for count in items or _SIZES:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
            home = Home(Path(name))
            packaging = _package(home, Shape(count, min(count, _USERS)), brain, retrieval)
            served = _serve(home, seconds)
            document["sizes"][count] = {**packaging, **served, **_missed(home)}
        if out:
            out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(document, indent=2))


class GrowthCalls(Calls):
    """Calls of known users, filtered by categories whose names begin alike."""

    def filtered(self, beginning: str) -> Iterator[Call]:
        """Three of these categories to choose from, and ten exclusions."""
        names = [name for name in self._categories if name.startswith(beginning)]
        for call in self.known():
            filters = {"categories": self._some(names, 3)}
            yield Call(call.path, {**call.body, "filters": filters})

    def unfiltered(self) -> Iterator[Call]:
        """The ten exclusions alone."""
        for call in self.known():
            yield Call(call.path, {**call.body, "filters": {}})


@dataclass(frozen=True)
class Everything(Retrieval):
    """Every item is scored and counts once: what candidates are compared with."""

    def scope(
        self,
        gate: Gate,
        k: int,  # noqa: ARG002 - of one form
        search: Search,  # noqa: ARG002
    ) -> Scope:
        """All rows, whatever is asked."""
        rows: Rows = np.arange(len(gate.catalogue))
        return Part(rows, np.ones(len(rows), np.float32))


def _brain() -> Brain:
    torch.manual_seed(1)
    tower = export_tower(UserTower(_TOWER), _TOWER.dim, _TOWER.window)
    one = dict.fromkeys(c.ITEMS) | {c.ITEM: "i", c.TITLE: "t", c.CATEGORIES: []}
    read = frozen_query(
        QueryConfig(encoder="minilm"), Catalogue(pl.DataFrame([one], schema=c.ITEMS))
    )
    if read.encoder is None or read.tokenizer is None:
        raise RuntimeError("MiniLM comes as ONNX")
    return Brain(tower, _TOWER.window, read.card, read.encoder, read.tokenizer)


def _package(home: Home, shape: Shape, brain: Brain, retrieval: RetrievalConfig) -> dict[str, Any]:
    """Seconds of building what is packaged, and its size."""
    print(f"{shape.items} items", file=sys.stderr, flush=True)
    made = payload(shape, brain, retrieval)
    with tempfile.TemporaryDirectory(dir=home.root) as name:
        model, reference = Path(name, "model"), Path(name, "reference")
        model.mkdir()
        reference.mkdir()
        started = time.monotonic()
        made.save(model)
        took = time.monotonic() - started
        size = sum(path.stat().st_size for path in model.rglob("*") if path.is_file())
        lineage = Lineage(
            git_commit="",
            git_ref="",
            data_version="",
            model_hash="",
            validation={},
            metrics={},
            params={},
        )
        Registry(home).register("v1", model, reference, lineage)
    Registry(home).promote("v1", ["to be measured"])
    bento(home)
    return {"packaging_seconds": round(took, 1), "packaged_mb": round(size / 2**20)}


def _serve(home: Home, seconds: float) -> dict[str, Any]:
    calls = GrowthCalls(_packaged(home))
    asked = {
        "topics": calls.filtered("t"),
        "departments": calls.filtered("d"),
        "unfiltered": calls.unfiltered(),
        "queries": calls.queries(),
    }
    with System.running(home, "bench") as system:
        started = time.monotonic()
        system.start_service()
        ready = time.monotonic() - started
        url = system.at.service
        steps = {name: step(url, name, each, _RATE, seconds) for name, each in asked.items()}
        held = memory(system.children.running["service"].pid)
    return {"seconds_until_ready": round(ready, 2), "steps": steps, "memory_mb": held}


def _missed(home: Home) -> dict[str, Any]:
    """Recall, and how long both ways take in this process."""
    recommender = _packaged(home).recommender()
    retrieval = recommender.retrieval
    if retrieval is None:
        return {}
    exact = recommender.over(offer=recommender.offer)
    exact.retrieval = Everything(retrieval.config, retrieval.sample, retrieval.sketch)
    calls = GrowthCalls(_packaged(home), seed=2)
    return {
        name: _compared(recommender, exact, [_request(recommender, call) for call in asked])
        for name, asked in {
            "recall_unfiltered": islice(calls.unfiltered(), _JUDGED),
            "recall_departments": islice(calls.filtered("d"), _JUDGED),
            "recall_topics": islice(calls.filtered("t"), _JUDGED),
            "recall_queries": islice(calls.queries(), _JUDGED),
        }.items()
    }


def _request(recommender: Recommender, call: Call) -> Request:
    state = recommender.states.of(call.body["user_id"])
    wanted = frozenset(call.body.get("filters", {}).get("categories", ()))
    query = call.body.get("query")
    return Request(state, k=_PLACES, at=_NOW, categories=wanted, query=query)


def _compared(
    candidates: Recommender, exact: Recommender, requests: list[Request]
) -> dict[str, float]:
    found, wanted = (
        [_timed(each, request) for request in requests] for each in (candidates, exact)
    )
    shares = {
        places: [
            len(set(own[:places]) & set(all_[:places])) / len(all_[:places])
            for (own, _), (all_, _) in zip(found, wanted, strict=True)
        ]
        for places in (10, _PLACES)
    }
    return {
        "requests": len(requests),
        **{f"recall@{places}": round(float(np.mean(each)), 4) for places, each in shares.items()},
        "least": round(min(shares[_PLACES]), 4),
        "candidates_p50_ms": round(float(np.median([took for _, took in found])) * 1e3, 2),
        "everything_p50_ms": round(float(np.median([took for _, took in wanted])) * 1e3, 2),
    }


def _timed(recommender: Recommender, request: Request) -> tuple[list[str], float]:
    started = time.perf_counter()
    found = [item.item_id for item in recommender.recommend(request)]
    return found, time.perf_counter() - started


def _packaged(home: Home) -> Payload:
    return Payload.load(Registry(home).path("v1") / "model")


if __name__ == "__main__":
    typer.run(main)
