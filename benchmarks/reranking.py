"""Language model that reranks the first items of any first stage, for the benchmarks.

The ranker learns from random positions of the training sequences; its weight is tuned on validation
requests. Distillation continues the training of the sequence model towards the mixed scores.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from tokenizers import Tokenizer

from benchmarks.distillation import DistilConfig, distil
from benchmarks.output import log
from recloop.benchmark.dataset import DataSet
from recloop.data.catalogue import Rows
from recloop.data.interaction_log import InteractionLog
from recloop.evaluation.evaluation_requests import Requests, hits
from recloop.evaluation.metrics import Values, ndcg
from recloop.scoring.onnx_session import open_session
from recloop.scoring.ranker.onnx_ranker import OnnxRanker
from recloop.scoring.ranker.weighting import mixed_scores, rerank, tune_weight
from recloop.scoring.scorer import Channel, Scores
from recloop.scoring.top_k import Ranked, top_k
from recloop.training.base_models import resolve_base
from recloop.training.device import choose
from recloop.training.export.ranker_export import export_ranker
from recloop.training.finetuning.ranker_examples import make_examples
from recloop.training.finetuning.sequence_model import SequenceModel
from recloop.training.modules.cross_encoder import RankerConfig
from recloop.training.ranker import Ranker
from recloop.training.trained_sequence import TrainedSequence

DEPTH = 20
# Training requests have at least so many items in their history.
SHORTEST_HISTORY = 5
_REQUESTS_PER_USER = 3


@dataclass(frozen=True)
class RankedRequests:
    """Requests with the first items of the first stage, and their scores.

    `ranked` and `scores` are `(requests, DEPTH)`, best first.
    """

    requests: Requests
    ranked: Ranked
    scores: Scores

    @classmethod
    def by(cls, channel: Channel, requests: Requests, items: int) -> "RankedRequests":
        """Rank a catalogue of so many items; items of the history are excluded."""
        parts = [top_k(channel(part), part.excluded(), DEPTH) for part in requests.batches(items)]
        ranked, scores = (np.concatenate(each) for each in zip(*parts, strict=True))
        return cls(requests, ranked, scores)

    def ndcg(self, ranked: Ranked) -> Values:
        """Return NDCG@10 of each request for the lists `ranked`."""
        return ndcg(hits(ranked, self.requests.relevant), self.requests.relevant_counts(), 10)

    def take(self, rows: Rows) -> "RankedRequests":
        """Return the requests of these rows, in this order."""
        return RankedRequests(self.requests.take(rows), self.ranked[rows], self.scores[rows])


def candidate_logits(
    ranker: OnnxRanker, ranked: RankedRequests, titles: Sequence[str], texts: Sequence[str]
) -> Scores:
    """Return the ranker's logits of all candidates, `(requests, DEPTH)`."""
    return np.stack(
        [
            ranker.logits([titles[row] for row in history], None, [texts[row] for row in rows])
            for history, rows in zip(ranked.requests.histories, ranked.ranked, strict=True)
        ]
    )


class TrainedRanker:
    """Ranker over the texts of a data set, trained within `seconds`, in its exported form."""

    def __init__(self, data: DataSet, training: RankedRequests, seconds: float, seed: int) -> None:
        self._titles = data.items["title"].to_list()
        self._texts = data.texts()
        config = RankerConfig(
            history_length=5,
            max_tokens=48,
            epochs=1,
            validate_every=50,
            max_seconds=seconds,
            seed=seed,
        )
        examples = make_examples(
            training.requests, self._titles, self._texts, training.ranked, config
        )
        ranker = Ranker(config, choose("auto"))
        ranker.fit(examples, progress=lambda validation: log(str(validation)))
        self.parameters = sum(value.numel() for value in ranker.model.trainable_weights().values())
        tokenizer = Tokenizer.from_file(f"{resolve_base(config.base)}/tokenizer.json")
        session = open_session(export_ranker(ranker.model))
        self._exported = OnnxRanker(session, tokenizer, config.history_length, config.max_tokens)

    def logits(self, ranked: RankedRequests) -> Scores:
        """Return the logits of all candidates, `(requests, DEPTH)`."""
        return candidate_logits(self._exported, ranked, self._titles, self._texts)

    def tune_weight(self, valid: RankedRequests) -> float:
        """Return the weight of the ranker with the highest NDCG@10 on validation requests."""
        return tune_weight(
            valid.ranked,
            valid.scores,
            self.logits(valid),
            lambda ranked: float(valid.ndcg(ranked).mean()),
        )[0]

    def rerank(self, ranked: RankedRequests, weight: float) -> Ranked:
        """Return the candidates in the order of their mixed scores."""
        return rerank(ranked.ranked, ranked.scores, self.logits(ranked), weight)[0]


def sample_training_requests(
    train: InteractionLog, channel: Channel, at_most: int, seed: int
) -> RankedRequests:
    """Draw random positions of the training sequences and rank candidates for each.

    The item at the position is relevant. The user's other items are not candidates.
    """
    rng = np.random.default_rng(seed)
    positions = [
        (sequence, position)
        for sequence in train.sequences()
        if len(sequence) > SHORTEST_HISTORY
        for position in rng.permutation(np.arange(SHORTEST_HISTORY, len(sequence)))[
            :_REQUESTS_PER_USER
        ]
    ]
    positions = [positions[n] for n in rng.permutation(len(positions))[:at_most]]
    requests = Requests(
        [sequence.rows[:position] for sequence, position in positions],
        [sequence.rows[position : position + 1] for sequence, position in positions],
        signals=[sequence.signals[:position] for sequence, position in positions],
    )
    others: list[Rows] = [np.delete(sequence.rows, position) for sequence, position in positions]
    parts, start = [], 0
    for part in requests.batches(train.catalogue):
        end = start + len(part.histories)
        parts.append(top_k(channel(part), others[start:end], DEPTH))
        start = end
    ranked, scores = (np.concatenate(each) for each in zip(*parts, strict=True))
    return RankedRequests(requests, ranked, scores)


def distil_ranker(
    trained: TrainedSequence,
    requests: RankedRequests,
    ranker: TrainedRanker,
    weight: float,
    seed: int,
) -> TrainedSequence:
    """Return a copy of the sequence model, tuned towards the mixed scores of the requests.

    Both of its forms are tuned: the one fitted without validation data and the final one.
    """
    teacher = mixed_scores(requests.ranked, requests.scores, ranker.logits(requests), weight)

    def distilled(model: SequenceModel) -> SequenceModel:
        student = copy.deepcopy(model)
        arguments = (requests.requests, requests.ranked, teacher, DistilConfig(seed=seed))
        distil(student, trained.text, *arguments, choose("auto"))
        return student

    return replace(trained, tuned=distilled(trained.tuned), final=distilled(trained.final))
