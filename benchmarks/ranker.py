"""Effect of the LLM ranker, and of its distillation into the sequence model, on NDCG@10.

`python -m benchmarks.ranker --sources FOLDER` uses MovieLens-100K, split by leave-one-out, and
ranks the full catalogue. `--sources` is the folder that contains `movielens-100k` or gets it. First
part: the first stage is EASE on a recency-decayed history; the ranker learns from the training
part, its weight is tuned on validation requests, and test requests are ranked once. Second part:
the sequence model is distilled from EASE mixed with the ranker, and compared with as many more
epochs of its own loss.
"""

import copy
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnxruntime as ort
import torch
import typer
from tokenizers import Tokenizer

from benchmarks.distillation import DistilConfig, distil
from benchmarks.output import command_line, log, machine
from benchmarks.reranking import DEPTH, SHORTEST_HISTORY, RankedRequests, candidate_logits
from recloop import columns as c
from recloop.data.catalogue import Catalogue, Rows
from recloop.data.contract import conform_interactions, conform_items
from recloop.data.interaction_log import TEST_PART, VALID_PART, InteractionLog
from recloop.data.sources.movielens import MovieLens100K
from recloop.data.split import joined, split_interactions
from recloop.evaluation.bootstrap import UserBootstrap
from recloop.evaluation.evaluation_requests import Requests, hits
from recloop.evaluation.metrics import recall
from recloop.scoring.channels.item_item import Dense, ItemItemModel
from recloop.scoring.onnx_session import open_session
from recloop.scoring.ranker.onnx_ranker import OnnxRanker
from recloop.scoring.ranker.weighting import mixed_scores, rerank, tune_weight
from recloop.scoring.scorer import Scores
from recloop.scoring.top_k import top_k
from recloop.training.base_models import TextConfig, resolve_base
from recloop.training.channels.fitted_channels import matrix
from recloop.training.channels.item_item_fitting import fit_ease
from recloop.training.device import Compute, choose
from recloop.training.export.ranker_export import export_ranker
from recloop.training.finetuning.fit import fit
from recloop.training.finetuning.ranker_examples import make_examples
from recloop.training.finetuning.sequence_model import FrozenTextVectors, TrainConfig
from recloop.training.finetuning.validation import validation_metric
from recloop.training.modules.cross_encoder import RankerConfig
from recloop.training.modules.text_encoder import TokenizedTexts, encode_all, load_encoder
from recloop.training.modules.tower import TowerConfig
from recloop.training.ranker import Ranker

_L2, _DECAY = 300.0, 0.9
_TOWER = TrainConfig(tower=TowerConfig(layers=1))
# Weight of the ranker in the distillation if validation gives it none.
_WEIGHT_WITHOUT_GAIN = 0.5

Report = Callable[[str, object], None]


class SplitMovieLens:
    """MovieLens-100K, split, with EASE fitted before validation and before the test."""

    def __init__(self, sources: Path, seed: int) -> None:
        raw = MovieLens100K(str(sources)).read()
        interactions = conform_interactions(raw.interactions).rows
        self.catalogue = Catalogue(conform_items(raw.items).rows)
        self.titles = self.catalogue.items[c.TITLE].to_list()
        self.texts = self.catalogue.texts()
        parts = split_interactions(interactions, "leave-one-out", 0, 0)
        rows = joined(parts)
        log_ = InteractionLog.from_frame(rows, self.catalogue.items[c.ITEM], repeats=False)
        train, past = log_.until(VALID_PART), log_.until(TEST_PART)
        self.sequences = train.sequences()
        self.ease_of_train, self.ease_of_past = (
            fit_ease(matrix(part), _L2, _DECAY) for part in (train, past)
        )
        self.valid, self.test = (
            Requests.from_log(log_, part, group_by_time=False, repeats=False)
            for part in (VALID_PART, TEST_PART)
        )
        self.users = log_.users.gather(self.test.user_numbers()).to_list()
        self.rng = np.random.default_rng(seed)

    def rank(
        self, model: ItemItemModel[Dense], requests: Requests, excluded: list[Rows] | None = None
    ) -> RankedRequests:
        """Rank with `model`, without the excluded items; by default those of the history."""
        scores = model.score(requests.histories)
        return RankedRequests(requests, *top_k(scores, excluded or requests.histories, DEPTH))

    def training_requests(self, per_user: int) -> RankedRequests:
        """Draw random positions of the training sequences and rank candidates for each.

        The user's other items are not candidates.
        """
        positions = [
            (items, position)
            for items in (sequence.rows for sequence in self.sequences)
            if len(items) > SHORTEST_HISTORY
            for position in self.rng.permutation(np.arange(SHORTEST_HISTORY, len(items)))[:per_user]
        ]
        requests = Requests(
            [items[:position] for items, position in positions],
            [items[position : position + 1] for items, position in positions],
        )
        others = [np.delete(items, position) for items, position in positions]
        return self.rank(self.ease_of_train, requests, others)

    def logits(self, ranker: OnnxRanker, ranked: RankedRequests) -> Scores:
        """Return the exported ranker's logits of all candidates, `(requests, DEPTH)`."""
        return candidate_logits(ranker, ranked, self.titles, self.texts)


def main(
    sources: Annotated[Path, typer.Option(help="Folder that contains movielens-100k or gets it.")],
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
    seconds: Annotated[float, typer.Option(help="Longest training of the ranker.")] = 300,
    per_user: Annotated[int, typer.Option(help="Training requests per user.")] = 3,
    requests: Annotated[int, typer.Option(help="Most validation and test requests, each.")] = 1_000,
    distilled: Annotated[int, typer.Option(help="Requests to distil from.")] = 1_000,
    seed: Annotated[int, typer.Option()] = 42,
) -> None:
    """Measure the ranker and its distillation, and print the results."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "0")) or torch.get_num_threads())
    data, compute = SplitMovieLens(sources, seed), choose("auto")
    config = RankerConfig(
        history_length=5, max_tokens=48, epochs=1, validate_every=50, max_seconds=seconds, seed=seed
    )
    document: dict[str, Any] = {
        "command": command_line().replace(str(sources), "SOURCES"),
        "machine": {**machine(), "threads": torch.get_num_threads()},
        "config": config.model_dump(),
    }

    def report(name: str, part: object) -> None:
        document[name] = part
        log(json.dumps({name: part}))
        if out:
            out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

    training = data.training_requests(per_user)
    ranker = _train(data, training, config, compute, report)
    weight = _rerank(data, ranker, requests, seed, report) or _WEIGHT_WITHOUT_GAIN
    if distilled:
        _distil(data, ranker, _sample(training, distilled, data.rng), weight, compute, report)
    print(json.dumps(document, indent=2))


def _train(
    data: SplitMovieLens,
    training: RankedRequests,
    config: RankerConfig,
    compute: Compute,
    report: Report,
) -> OnnxRanker:
    examples = make_examples(training.requests, data.titles, data.texts, training.ranked, config)
    started, ranker = time.monotonic(), Ranker(config, compute)
    validations = ranker.fit(examples, progress=lambda validation: log(str(validation)))
    seconds = time.monotonic() - started
    tokenizer = Tokenizer.from_file(f"{resolve_base(config.base)}/tokenizer.json")
    session = open_session(export_ranker(ranker.model))
    report(
        "training",
        {
            "requests": len(training.ranked),
            "examples": len(examples),
            "positive_share": float(examples.labels.mean()),
            "seconds": round(seconds, 1),
            "looks": validations,
        },
    )
    report("latency", _latency(session, tokenizer, data))
    return OnnxRanker(session, tokenizer, config.history_length, config.max_tokens)


def _latency(
    session: ort.InferenceSession, tokenizer: Tokenizer, data: SplitMovieLens
) -> dict[str, float]:
    """Return milliseconds for 20 candidates and a long history, with tokenisation."""
    ranker, taken = OnnxRanker(session, tokenizer, 50, 64), []
    for _ in range(15):
        started = time.perf_counter()
        ranker.logits(data.titles[:50], None, data.texts[:DEPTH])
        taken.append(1_000 * (time.perf_counter() - started))
    return {"p50": float(np.median(taken)), "min": min(taken)}


def _rerank(
    data: SplitMovieLens, ranker: OnnxRanker, at_most: int, seed: int, report: Report
) -> float:
    """Tune the weight of the ranker, rerank the test requests, and return the weight."""
    started = time.monotonic()
    valid = _sample(data.rank(data.ease_of_train, data.valid), at_most, data.rng)
    weight, quality = tune_weight(
        valid.ranked,
        valid.scores,
        data.logits(ranker, valid),
        lambda ranked: float(valid.ndcg(ranked).mean()),
    )
    users = np.array(data.users)
    rows = data.rng.permutation(len(users))[:at_most]
    test = data.rank(data.ease_of_past, data.test).take(rows)
    logits = data.logits(ranker, test)
    before = test.ndcg(test.ranked)
    after = test.ndcg(rerank(test.ranked, test.scores, logits, weight)[0])
    ranker_alone = test.ndcg(rerank(test.ranked, np.zeros_like(test.scores), logits, 1.0)[0])
    bootstrap = UserBootstrap(users[rows].tolist(), 1_000, seed)
    found = hits(test.ranked, test.requests.relevant)
    report(
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
            "ranker_alone": asdict(bootstrap.interval(ranker_alone)),
            "recall@20": float(recall(found, test.requests.relevant_counts(), DEPTH).mean()),
            "seconds": round(time.monotonic() - started, 1),
        },
    )
    return weight


def _distil(
    data: SplitMovieLens,
    ranker: OnnxRanker,
    teaching: RankedRequests,
    weight: float,
    compute: Compute,
    report: Report,
) -> None:
    started = time.monotonic()
    logits = data.logits(ranker, teaching)
    teacher = mixed_scores(teaching.ranked, teaching.scores, logits, weight)
    config = TextConfig(tuning="frozen")
    encoder, tokenizer = load_encoder(resolve_base(config.base), config)
    text = encode_all(encoder, TokenizedTexts(data.texts, tokenizer, config), compute)
    student, _ = fit(data.sequences, FrozenTextVectors(text), _TOWER, compute)
    validate = validation_metric(data.valid, _TOWER.tower.window)
    result: dict[str, Any] = {"weight": weight, "requests": len(teaching.ranked)}
    result["before"] = validate(student, text)
    for name, share in (("own loss alone", 0.0), ("distilled", 0.5)):
        model, settings = copy.deepcopy(student), DistilConfig(teacher_weight=share)
        losses = distil(model, text, teaching.requests, teaching.ranked, teacher, settings, compute)
        result[name] = {"valid_ndcg@10": validate(model, text), "losses": losses}
    report("distillation", result | {"seconds": round(time.monotonic() - started, 1)})


def _sample(ranked: RankedRequests, at_most: int, rng: np.random.Generator) -> RankedRequests:
    """Return a random part of the requests."""
    return ranked.take(rng.permutation(len(ranked.ranked))[:at_most])


if __name__ == "__main__":
    typer.run(main)
