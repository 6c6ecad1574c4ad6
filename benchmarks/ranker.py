"""What the LLM ranker, and its distillation into the fast path, do to NDCG@10 on MovieLens-100K.

Leave-one-out, full ranking. Fast path of the first part: EASE on a recency-decayed history; the ranker
learns from the training part, its weight is chosen on validation, test requests are asked once.
Second part: the sequence model, distilled from EASE with the ranker's say, against as many epochs
of its own loss. `--sources` is the folder that holds, or gets, `movielens-100k`.
"""

import copy
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnxruntime as ort
import torch
import typer
from distillation import DistilConfig, distil
from tokenizers import Tokenizer

from recloop import columns as c
from recloop.data.catalogue import Catalogue, Rows
from recloop.data.contract import conform_interactions, conform_items
from recloop.data.interaction_log import TEST_PART, VALID_PART, InteractionLog
from recloop.data.sources.movielens import MovieLens100K
from recloop.data.split import joined, split_interactions
from recloop.evaluation.bootstrap import UserBootstrap
from recloop.evaluation.evaluation_requests import Requests, hits
from recloop.evaluation.metrics import Values, ndcg, recall
from recloop.scoring.channels.item_item import Dense, ItemItemModel
from recloop.scoring.onnx_session import open_session
from recloop.scoring.ranker.onnx_ranker import OnnxRanker
from recloop.scoring.ranker.weighting import mixed_scores, rerank, tune_weight
from recloop.scoring.scorer import Scores
from recloop.scoring.top_k import Ranked, top_k
from recloop.training.base_models import TextConfig, resolve_base
from recloop.training.channels.fitted_channels import matrix
from recloop.training.channels.item_item_fitting import fit_ease
from recloop.training.device import Compute, choose
from recloop.training.export.ranker_export import export_ranker
from recloop.training.finetuning.fit import fit
from recloop.training.finetuning.ranker_examples import make_examples
from recloop.training.finetuning.sequence_model import FrozenText, TrainConfig
from recloop.training.finetuning.validation import judge_on
from recloop.training.modules.cross_encoder import RankerConfig
from recloop.training.modules.text_encoder import TokenizedTexts, encode_all, load_encoder
from recloop.training.modules.tower import TowerConfig
from recloop.training.ranker import Ranker

DEPTH, L2, DECAY, EARLIEST = 20, 300.0, 0.9, 5
TOWER = TrainConfig(tower=TowerConfig(layers=1))


Say = Callable[[str, object], None]


@dataclass(frozen=True)
class Asked:
    """Requests, the fast path's first places, and their scores."""

    requests: Requests
    ranked: Ranked
    scores: Scores

    def ndcg(self, ranked: Ranked) -> Values:
        """NDCG@10 of each request."""
        found = hits(ranked, self.requests.relevant)
        return ndcg(found, self.requests.counts(), 10)

    def take(self, rows: Rows) -> "Asked":
        """These requests, in this order."""
        part = Requests(
            [self.requests.histories[row] for row in rows],
            [self.requests.relevant[row] for row in rows],
        )
        return Asked(part, self.ranked[rows], self.scores[rows])


class World:
    """MovieLens-100K, split, with EASE fitted before validation and before the test."""

    def __init__(self, sources: Path, seed: int) -> None:
        raw = MovieLens100K(str(sources)).read()
        interactions = conform_interactions(raw.interactions).rows
        self.catalogue = Catalogue(conform_items(raw.items).rows)
        self.titles = self.catalogue.items[c.TITLE].to_list()
        self.texts = self.catalogue.texts()
        parts = split_interactions(interactions, "leave-one-out", 0, 0)
        rows = joined(parts)
        log = InteractionLog.from_frame(rows, self.catalogue.items[c.ITEM], repeats=False)
        train, past = log.until(VALID_PART), log.until(TEST_PART)
        self.sequences = train.sequences()
        self.early, self.late = (fit_ease(matrix(part), L2, DECAY) for part in (train, past))
        self.valid, self.test = (
            Requests.about(log, part, moments=False, repeats=False)
            for part in (VALID_PART, TEST_PART)
        )
        self.users = log.users.gather(self.test.user_numbers()).to_list()
        self.rng = np.random.default_rng(seed)

    def ask(
        self, model: ItemItemModel[Dense], asked: Requests, forbidden: list[Rows] | None = None
    ) -> Asked:
        """The first places of `model`; what is forbidden, by default the history, is in none."""
        scores = model.score(asked.histories)
        return Asked(asked, *top_k(scores, forbidden or asked.histories, DEPTH))

    def training(self, per_user: int) -> Asked:
        """Random moments of training; what the user engaged with at other times is no candidate."""
        places = [
            (path, place)
            for path in (trail.rows for trail in self.sequences)
            if len(path) > EARLIEST
            for place in self.rng.permutation(np.arange(EARLIEST, len(path)))[:per_user]
        ]
        asked = Requests(
            [path[:place] for path, place in places],
            [path[place : place + 1] for path, place in places],
        )
        return self.ask(self.early, asked, [np.delete(path, place) for path, place in places])

    def logits(self, ranker: OnnxRanker, asked: Asked) -> Scores:
        """Of every candidate, `(requests, DEPTH)`, by what would serve."""
        return np.stack(
            [
                ranker.logits(
                    [self.titles[row] for row in history], None, [self.texts[row] for row in rows]
                )
                for history, rows in zip(asked.requests.histories, asked.ranked, strict=True)
            ]
        )


def main(
    sources: Annotated[Path, typer.Option(help="Where movielens-100k is, or will be put.")],
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
    seconds: Annotated[float, typer.Option(help="Budget of the ranker's training.")] = 300,
    per_user: Annotated[int, typer.Option(help="Training requests per user.")] = 3,
    asked: Annotated[int, typer.Option(help="Validation and test requests at most, each.")] = 1_000,
    distilled: Annotated[int, typer.Option(help="Requests to distil from.")] = 1_000,
    seed: Annotated[int, typer.Option()] = 42,
) -> None:
    """Run and print."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "0")) or torch.get_num_threads())
    world, compute = World(sources, seed), choose("auto")
    config = RankerConfig(
        history_length=5, max_tokens=48, epochs=1, validate_every=50, max_seconds=seconds, seed=seed
    )
    document: dict[str, Any] = {
        "command": " ".join("SOURCES" if part == str(sources) else part for part in sys.argv),
        "machine": {
            "cpus": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "python": platform.python_version(),
        },
        "config": config.model_dump(),
    }

    def say(name: str, part: object) -> None:
        document[name] = part
        print(json.dumps({name: part}), file=sys.stderr, flush=True)
        if out:
            out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

    training = world.training(per_user)
    served = _train(world, training, config, compute, say)
    weight = _rerank(world, served, asked, seed, say)
    if distilled:
        # A weight of 0 would leave nothing of the ranker to learn: then it is a what-if.
        _distil(world, served, _first(training, distilled, world.rng), weight or 0.5, compute, say)
    print(json.dumps(document, indent=2))


def _train(
    world: World, training: Asked, config: RankerConfig, compute: Compute, say: Say
) -> OnnxRanker:
    examples = make_examples(training.requests, world.titles, world.texts, training.ranked, config)
    started, ranker = time.monotonic(), Ranker(config, compute)
    looks = ranker.fit(examples, progress=lambda look: print(look, file=sys.stderr, flush=True))
    seconds = time.monotonic() - started
    words = Tokenizer.from_file(f"{resolve_base(config.base)}/tokenizer.json")
    session = open_session(export_ranker(ranker.model))
    served = OnnxRanker(session, words, config.history_length, config.max_tokens)
    say(
        "training",
        {
            "requests": len(training.ranked),
            "examples": len(examples),
            "positive_share": float(examples.labels.mean()),
            "seconds": round(seconds, 1),
            "looks": looks,
        },
    )
    say("latency", _latency(session, words, world))
    return served


def _latency(session: ort.InferenceSession, words: Tokenizer, world: World) -> dict[str, float]:
    """Milliseconds for 20 candidates beside a long behaviour, tokenisation included, one thread."""
    ranker, taken = OnnxRanker(session, words, 50, 64), []
    for _ in range(15):
        started = time.perf_counter()
        ranker.logits(world.titles[:50], None, world.texts[:DEPTH])
        taken.append(1_000 * (time.perf_counter() - started))
    return {"p50": float(np.median(taken)), "min": min(taken)}


def _rerank(world: World, served: OnnxRanker, asked: int, seed: int, say: Say) -> float:
    started = time.monotonic()
    valid = _first(world.ask(world.early, world.valid), asked, world.rng)
    weight, quality = tune_weight(
        valid.ranked,
        valid.scores,
        world.logits(served, valid),
        lambda ranked: float(valid.ndcg(ranked).mean()),
    )
    users = np.array(world.users)
    test = world.ask(world.late, world.test)
    rows = world.rng.permutation(len(users))[:asked]
    test, logits = test.take(rows), world.logits(served, test.take(rows))
    before = test.ndcg(test.ranked)
    after = test.ndcg(rerank(test.ranked, test.scores, logits, weight)[0])
    alone = test.ndcg(rerank(test.ranked, np.zeros_like(test.scores), logits, 1.0)[0])
    bootstrap = UserBootstrap(users[rows].tolist(), 1_000, seed)
    found = hits(test.ranked, test.requests.relevant)
    say(
        "rerank",
        {
            "weight": weight,
            "valid": {
                "requests": len(valid.ranked),
                "before": float(valid.ndcg(valid.ranked).mean()),
                "after": quality,
            },
            "requests": len(rows),
            "before": asdict(bootstrap.interval(before)),
            "after": asdict(bootstrap.interval(after)),
            "difference": asdict(bootstrap.interval(after - before)),
            "ranker_alone": asdict(bootstrap.interval(alone)),
            "recall@20": float(recall(found, test.requests.counts(), DEPTH).mean()),
            "seconds": round(time.monotonic() - started, 1),
        },
    )
    return weight


def _distil(
    world: World, served: OnnxRanker, taught: Asked, weight: float, compute: Compute, say: Say
) -> None:
    started = time.monotonic()
    teacher = mixed_scores(taught.ranked, taught.scores, world.logits(served, taught), weight)
    config = TextConfig(tuning="frozen")
    encoder, tokenizer = load_encoder(resolve_base(config.base), config)
    text = encode_all(encoder, TokenizedTexts(world.texts, tokenizer, config), compute.device)
    student, _ = fit(world.sequences, FrozenText(text), TOWER, compute)
    judge = judge_on(world.valid, TOWER.tower.window)
    result: dict[str, Any] = {"weight": weight, "requests": len(taught.ranked)}
    result["before"] = judge(student, text)
    for name, share in (("own loss alone", 0.0), ("distilled", 0.5)):
        model, settings = copy.deepcopy(student), DistilConfig(teacher_weight=share)
        arguments = (model, text, taught.requests, taught.ranked, teacher, settings, compute)
        losses = distil(*arguments)
        result[name] = {"valid_ndcg@10": judge(model, text), "losses": losses}
    say("distillation", result | {"seconds": round(time.monotonic() - started, 1)})


def _first(asked: Asked, count: int, rng: np.random.Generator) -> Asked:
    """A random part of them."""
    return asked.take(rng.permutation(len(asked.ranked))[:count])


if __name__ == "__main__":
    typer.run(main)
