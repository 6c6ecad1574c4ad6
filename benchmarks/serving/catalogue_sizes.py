"""Latency, memory, start-up time and candidate recall for catalogues of growing size.

`python -m benchmarks.serving.catalogue_sizes --out benchmarks/results/catalogue-sizes.json` makes a
synthetic model of each size (see `synthetic`), packages it into a temporary home, starts the
service as `make serve` does, sends it 50 requests per second, and prints JSON.

`topics` filters by three of the finest categories, which leave so few items that all are scored;
`departments` by three of forty; `unfiltered` by none. `queries` are random words. Among synthetic
texts these are random directions, the hardest queries to find candidates for. Recall is the share
of the first hundred items of exhaustive scoring that the candidates contain. The user tower has the
default architecture and is untrained; the query encoder is MiniLM. A million items take half an
hour, 10 GB of disk and 10 GB of memory. The machine should be otherwise idle.
"""

import json
import os
import platform
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

from benchmarks.output import log
from benchmarks.serving.calls import Calls
from benchmarks.serving.load import Call
from benchmarks.serving.rates import WARM_UP_SECONDS, measure_rate
from benchmarks.serving.run import build_bento, memory_of
from benchmarks.serving.synthetic import ModelSize, OnnxModels, synthetic_payload
from flows.system import System
from recloop import columns as c
from recloop.config import Home
from recloop.data.catalogue import Catalogue, Rows
from recloop.data.frame_schemas import ITEMS
from recloop.recommender.items.eligibility import EligibilityFilter
from recloop.recommender.recommender import Recommender
from recloop.recommender.request import Request
from recloop.recommender.retrieval import CandidateRetrieval, RetrievalConfig, Search
from recloop.registry.payload import Payload
from recloop.registry.versions import Registry
from recloop.scoring.candidate_set import Candidates, CandidateSet
from recloop.scoring.query.matcher import QueryConfig
from recloop.settings import read_settings
from recloop.training.export.onnx_export import export_tower
from recloop.training.export.query_export import export_frozen_query
from recloop.training.modules.tower import TowerConfig, UserTower
from tests.support import tiny_model

_SIZES = [10_000, 100_000, 1_000_000]
_RATE, _USERS, _RECALL_REQUESTS, _TOP = 50, 20_000, 50, 100
_TOWER = TowerConfig(dim=128)
_NOW = datetime(2026, 6, 1, tzinfo=UTC)


def main(
    items: Annotated[list[int] | None, typer.Option(help="Catalogue size; repeatable.")] = None,
    min_catalogue: Annotated[int, typer.Option(help="Smallest catalogue with candidates.")] = 1_000,
    workers: Annotated[int, typer.Option(min=1)] = 1,
    seconds: Annotated[float, typer.Option(min=1, help="Seconds of each step.")] = 30,
    out: Annotated[Path | None, typer.Option(help="File to write the JSON to as well.")] = None,
) -> None:
    """Measure every size and print the results."""
    os.environ["RECLOOP_WORKERS"] = str(workers)
    retrieval, models = RetrievalConfig(min_catalogue=min_catalogue), _onnx_models()
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
            packaging = _package(home, ModelSize(count, min(count, _USERS)), models, retrieval)
            served = _serve(home, seconds)
            document["sizes"][count] = {**packaging, **served, **_recall(home)}
        if out:
            out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(document, indent=2))


class GrowthCalls(Calls):
    """Requests of known users, filtered by categories whose names share a prefix."""

    def filtered(self, prefix: str) -> Iterator[Call]:
        """Yield requests for three categories with this prefix, with ten exclusions."""
        names = [name for name in self._categories if name.startswith(prefix)]
        for call in self.user_requests():
            filters = {"categories": self._some(names, 3)}
            yield Call(call.path, {**call.body, "filters": filters})

    def unfiltered(self) -> Iterator[Call]:
        """Yield requests with ten exclusions and no category filter."""
        for call in self.user_requests():
            yield Call(call.path, {**call.body, "filters": {}})


@dataclass(frozen=True)
class ExhaustiveRetrieval(CandidateRetrieval):
    """Retrieval of all items, each with weight 1, as the reference for candidates."""

    def scope(
        self,
        gate: EligibilityFilter,
        k: int,  # noqa: ARG002 - same signature as the base class
        search: Search,  # noqa: ARG002
    ) -> Candidates:
        """Return all rows for every request."""
        rows: Rows = np.arange(len(gate.catalogue))
        return CandidateSet(rows, np.ones(len(rows), np.float32))


def _onnx_models() -> OnnxModels:
    torch.manual_seed(1)
    tower = export_tower(UserTower(_TOWER), _TOWER.dim, _TOWER.window)
    one = dict.fromkeys(ITEMS) | {c.ITEM: "i", c.TITLE: "t", c.CATEGORIES: []}
    read = export_frozen_query(
        QueryConfig(encoder="minilm"), Catalogue(pl.DataFrame([one], schema=ITEMS))
    )
    if read.encoder is None or read.tokenizer is None:
        raise RuntimeError("the query encoder was not exported to ONNX")
    return OnnxModels(tower, _TOWER.window, read.config, read.encoder, read.tokenizer)


def _package(
    home: Home, size: ModelSize, models: OnnxModels, retrieval: RetrievalConfig
) -> dict[str, Any]:
    """Package a synthetic model and return the seconds that saving took, and its size."""
    log(f"{size.items} items")
    made = synthetic_payload(size, models, retrieval)
    with tempfile.TemporaryDirectory(dir=home.root) as name:
        model, reference = Path(name, "model"), Path(name, "reference")
        model.mkdir()
        reference.mkdir()
        started = time.monotonic()
        made.save(model)
        took = time.monotonic() - started
        size_bytes = sum(path.stat().st_size for path in model.rglob("*") if path.is_file())
        Registry(home).register("v1", model, reference, tiny_model.LINEAGE)
    Registry(home).promote("v1", ["to be measured"])
    build_bento(home)
    return {"packaging_seconds": round(took, 1), "packaged_mb": round(size_bytes / 2**20)}


def _serve(home: Home, seconds: float) -> dict[str, Any]:
    calls = GrowthCalls(_packaged(home))
    requests = {
        "topics": calls.filtered("t"),
        "departments": calls.filtered("d"),
        "unfiltered": calls.unfiltered(),
        "queries": calls.query_requests(),
    }
    with System.running(read_settings().in_home(home.root), "bench") as system:
        started = time.monotonic()
        system.start_service()
        ready = time.monotonic() - started
        url = system.addresses.service
        steps = {
            name: measure_rate(url, name, each, _RATE, seconds) for name, each in requests.items()
        }
        memory = memory_of(system.processes.processes["service"].pid)
    return {"seconds_until_ready": round(ready, 2), "steps": steps, "memory_mb": memory}


def _recall(home: Home) -> dict[str, Any]:
    """Return recall, and the time of both retrievals in this process."""
    recommender = _packaged(home).recommender()
    retrieval = recommender.retrieval
    if retrieval is None:
        return {}
    exact = recommender.with_catalogue(availability=recommender.availability)
    exact.retrieval = ExhaustiveRetrieval(
        retrieval.config, retrieval.sample, retrieval.approximator
    )
    calls = GrowthCalls(_packaged(home), seed=2)
    return {
        name: _compared(recommender, exact, [_request(recommender, call) for call in sample])
        for name, sample in {
            "recall_unfiltered": islice(calls.unfiltered(), _RECALL_REQUESTS),
            "recall_departments": islice(calls.filtered("d"), _RECALL_REQUESTS),
            "recall_topics": islice(calls.filtered("t"), _RECALL_REQUESTS),
            "recall_queries": islice(calls.query_requests(), _RECALL_REQUESTS),
        }.items()
    }


def _request(recommender: Recommender, call: Call) -> Request:
    state = recommender.histories.get(call.body["user_id"])
    categories = frozenset(call.body.get("filters", {}).get("categories", ()))
    query = call.body.get("query")
    return Request(state, k=_TOP, time=_NOW, categories=categories, query=query)


def _compared(
    candidates: Recommender, exact: Recommender, requests: list[Request]
) -> dict[str, float]:
    found, expected = (
        [_timed(each, request) for request in requests] for each in (candidates, exact)
    )
    shares = {
        top: [
            len(set(own[:top]) & set(all_[:top])) / len(all_[:top])
            for (own, _), (all_, _) in zip(found, expected, strict=True)
        ]
        for top in (10, _TOP)
    }
    return {
        "requests": len(requests),
        **{f"recall@{top}": round(float(np.mean(each)), 4) for top, each in shares.items()},
        "least": round(min(shares[_TOP]), 4),
        "candidates_p50_ms": round(float(np.median([took for _, took in found])) * 1e3, 2),
        "everything_p50_ms": round(float(np.median([took for _, took in expected])) * 1e3, 2),
    }


def _timed(recommender: Recommender, request: Request) -> tuple[list[str], float]:
    started = time.perf_counter()
    found = [item.item_id for item in recommender.recommend(request)]
    return found, time.perf_counter() - started


def _packaged(home: Home) -> Payload:
    return Payload.load(Registry(home).path("v1") / "model")


if __name__ == "__main__":
    typer.run(main)
