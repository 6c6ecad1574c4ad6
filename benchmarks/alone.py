"""What the benchmarks of the sequence model alone have in common: judging it, and writing JSON."""

import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np

from recloop.evaluation.bootstrap import UserBootstrap
from recloop.evaluation.metrics import Values, ndcg
from recloop.evaluation.offline import Requests, hits
from recloop.models.ranking import top_k
from recloop.models.sequential import Sequential
from recloop.training.export import export_tower
from recloop.training.sequence import SequenceModel, TextSide, TrainConfig

DRAWS = 1_000


def ndcg_of(
    model: SequenceModel, text: TextSide, config: TrainConfig, requests: Requests
) -> Values:
    """NDCG@10 of each request, through the tower as it serves."""
    tower = export_tower(model.tower, config.tower.dim, config.tower.window)
    scorer = Sequential(tower, model.vectors(text.vectors).cpu().numpy(), config.tower.window)
    ranked, _ = top_k(scorer.score(requests), requests.forbidden(), 10)
    return ndcg(hits(ranked, requests.relevant), requests.counts(), 10)


def bootstrap(requests: Requests, seed: int) -> UserBootstrap:
    """Over users; over requests where nobody knows whose they are."""
    users = np.arange(len(requests.histories)) if requests.users is None else requests.users
    return UserBootstrap(users.astype(str).tolist(), DRAWS, seed)


def publish(runs: list[dict[str, Any]], data: Path, out: Path | None, **facts: Any) -> None:  # noqa: ANN401 - JSON
    """Print the document, and write it where it is wanted."""
    script = Path(sys.argv[0])
    command = " ".join(["python", f"benchmarks/{script.name}", *sys.argv[1:]])
    machine = {"cpus": os.cpu_count(), "machine": platform.machine()}
    document = {"command": command, "machine": machine, "data": data.name, **facts, "runs": runs}
    text = json.dumps(document, indent=2)
    if out:
        out.write_text(text + "\n", encoding="utf-8")
    print(text)


def say(line: str) -> None:
    """On the side, what is going on."""
    print(line, file=sys.stderr)
