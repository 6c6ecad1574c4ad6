"""The language model as ranker of the first places of any fast path, and what it teaches that path.

For `ablation.py`: the ranker learns from random moments of training, its weight is chosen on validation;
distilled, the sequence model goes on towards the mix of both on those moments.
"""

import copy
from dataclasses import dataclass, replace

import numpy as np
from alone import say
from distillation import DistilConfig, distil
from tokenizers import Tokenizer

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
from recloop.training.sequence_training import TrainedSequence

DEPTH, EARLIEST, PER_USER = 20, 5, 3


@dataclass(frozen=True)
class Listed:
    """Requests, a fast path's first places, and their scores."""

    requests: Requests
    ranked: Ranked
    scores: Scores

    @classmethod
    def by(cls, channel: Channel, requests: Requests, items: int) -> "Listed":
        """What is in the history is in no list."""
        parts = [top_k(channel(part), part.forbidden(), DEPTH) for part in requests.parts(items)]
        ranked, scores = (np.concatenate(each) for each in zip(*parts, strict=True))
        return cls(requests, ranked, scores)

    def ndcg(self, ranked: Ranked) -> Values:
        """NDCG@10 of each request."""
        return ndcg(hits(ranked, self.requests.relevant), self.requests.counts(), 10)


class Reader:
    """A ranker on a data set's texts, trained within `seconds`, asked as it would serve."""

    def __init__(self, data: DataSet, moments: Listed, seconds: float, seed: int) -> None:
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
            moments.requests, self._titles, self._texts, moments.ranked, config
        )
        ranker = Ranker(config, choose("auto"))
        ranker.fit(examples, progress=lambda look: say(str(look)))
        self.parameters = sum(value.numel() for value in ranker.model.trainable_weights().values())
        words = Tokenizer.from_file(f"{resolve_base(config.base)}/tokenizer.json")
        session = open_session(export_ranker(ranker.model))
        self._served = OnnxRanker(session, words, config.history_length, config.max_tokens)

    def logits(self, listed: Listed) -> Scores:
        """Of every candidate, `(requests, DEPTH)`."""
        return np.stack(
            [
                self._served.logits(
                    [self._titles[row] for row in history], None, [self._texts[row] for row in rows]
                )
                for history, rows in zip(listed.requests.histories, listed.ranked, strict=True)
            ]
        )

    def weight(self, valid: Listed) -> float:
        """The ranker's weight that validation chooses."""
        found = self.logits(valid)
        return tune_weight(
            valid.ranked, valid.scores, found, lambda ranked: float(valid.ndcg(ranked).mean())
        )[0]

    def reranked(self, listed: Listed, weight: float) -> Ranked:
        """The same places in the order that the ranker helped to find."""
        return rerank(listed.ranked, listed.scores, self.logits(listed), weight)[0]


def moments(train: InteractionLog, channel: Channel, at_most: int, seed: int) -> Listed:
    """Random moments of training; what the person did at other times is no candidate."""
    rng = np.random.default_rng(seed)
    places = [
        (trail, place)
        for trail in train.sequences()
        if len(trail) > EARLIEST
        for place in rng.permutation(np.arange(EARLIEST, len(trail)))[:PER_USER]
    ]
    places = [places[n] for n in rng.permutation(len(places))[:at_most]]
    requests = Requests(
        [trail.rows[:place] for trail, place in places],
        [trail.rows[place : place + 1] for trail, place in places],
        signals=[trail.signals[:place] for trail, place in places],
    )
    others: list[Rows] = [np.delete(trail.rows, place) for trail, place in places]
    parts, start = [], 0
    for part in requests.parts(train.catalogue):
        end = start + len(part.histories)
        parts.append(top_k(channel(part), others[start:end], DEPTH))
        start = end
    ranked, scores = (np.concatenate(each) for each in zip(*parts, strict=True))
    return Listed(requests, ranked, scores)


def distilled(
    trained: TrainedSequence, taught: Listed, reader: Reader, weight: float, seed: int
) -> TrainedSequence:
    """The sequence model, before and after validation, moved towards the mix of list and ranker."""
    teacher = mixed_scores(taught.ranked, taught.scores, reader.logits(taught), weight)

    def moved(model: SequenceModel) -> SequenceModel:
        student = copy.deepcopy(model)
        arguments = (taught.requests, taught.ranked, teacher, DistilConfig(seed=seed))
        distil(student, trained.text, *arguments, choose("auto"))
        return student

    return replace(trained, tuned=moved(trained.tuned), final=moved(trained.final))
