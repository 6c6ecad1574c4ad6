"""Tuning of the ranker's weight against the blend, on validation requests."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recloop.evaluation.evaluation_requests import Requests, hits
from recloop.evaluation.metrics import ndcg
from recloop.scoring.blend import Blend
from recloop.scoring.ranker.onnx_ranker import OnnxRanker
from recloop.scoring.ranker.weighting import tune_weight
from recloop.scoring.top_k import Ranked, top_k


@dataclass(frozen=True)
class RankerWeight:
    """Weight of the ranker (0 without a gain), and mean NDCG@10 without and with the ranker."""

    weight: float
    before: float
    after: float


def tune_ranker_weight(
    ranker: OnnxRanker,
    blend: Blend,
    valid: Requests,
    titles: Sequence[str | None],
    texts: Sequence[str],
    depth: int,
) -> RankerWeight:
    """Choose the weight of the exported ranker over the first items of the blend.

    Args:
        ranker: The exported ranker.
        blend: The blend.
        valid: Validation requests.
        titles: Title of each item, by which histories are read.
        texts: Text of each item, by which candidates are read.
        depth: Number of items that are re-ranked.
    """
    if not valid.histories:
        return RankerWeight(0.0, 0.0, 0.0)
    parts = [top_k(blend.score(part), part.excluded(), depth) for part in valid.batches(len(texts))]
    ranked, scores = (np.concatenate(each) for each in zip(*parts, strict=True))
    logits = np.zeros_like(scores)
    for row, history in enumerate(valid.histories):
        real = ranked[row] >= 0
        behaviour = [titles[item] or "" for item in history]
        candidates = [texts[item] for item in ranked[row][real]]
        logits[row, real] = ranker.logits(behaviour, None, candidates)

    def quality(lists: Ranked) -> float:
        return float(ndcg(hits(lists, valid.relevant), valid.relevant_counts(), 10).mean())

    weight, after = tune_weight(ranked, scores, logits, quality)
    return RankerWeight(weight, quality(ranked), after)
