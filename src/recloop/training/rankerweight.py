"""How much a ranker's say is worth beside a blend, on validation requests."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recloop.evaluation.metrics import ndcg
from recloop.evaluation.offline import Requests, hits
from recloop.models.blend import Blend
from recloop.models.ranker_onnx import OnnxRanker
from recloop.models.ranking import Ranked, top_k
from recloop.models.rerank import tune_weight


@dataclass(frozen=True)
class Worth:
    """`weight`, 0 where nothing is gained, and mean NDCG@10 without the ranker and with it."""

    weight: float
    before: float
    after: float


def weigh_ranker(
    ranker: OnnxRanker,
    blend: Blend,
    valid: Requests,
    titles: Sequence[str | None],
    texts: Sequence[str],
    depth: int,
) -> Worth:
    """The weight that validation chooses for the ranker as it serves, over the blend's first places."""
    if not valid.histories:
        return Worth(0.0, 0.0, 0.0)
    parts = [top_k(blend.score(part), part.forbidden(), depth) for part in valid.parts(len(texts))]
    ranked, scores = (np.concatenate(each) for each in zip(*parts, strict=True))
    logits = np.zeros_like(scores)
    for row, history in enumerate(valid.histories):
        real = ranked[row] >= 0
        behaviour = [titles[item] or "" for item in history]
        candidates = [texts[item] for item in ranked[row][real]]
        logits[row, real] = ranker.logits(behaviour, None, candidates)

    def quality(places: Ranked) -> float:
        return float(ndcg(hits(places, valid.relevant), valid.counts(), 10).mean())

    weight, after = tune_weight(ranked, scores, logits, quality)
    return Worth(weight, quality(ranked), after)
