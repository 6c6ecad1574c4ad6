"""How far up new items may come: as far as what is known of them allows, at a bounded cost.

Validation data often hold no new items, or others than the future will. So some known items are
treated as new where there are too few, and the shift is the largest at which the requests that they
do not answer lose a hundredth; where validation shows that people choose new items more than that, it
says how far.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recloop.evaluation.metrics import Hits, ndcg
from recloop.evaluation.offline import Requests, hits
from recloop.models.newcomers import Newcomers, NewcomerTerms
from recloop.models.ranking import top_k
from recloop.models.scorer import Scores, deviation

# Of the items, at least this share is asked about as new.
_SHARE = 0.1
# Of NDCG@10 on known items, what it may cost that new ones are shown.
_COST = 0.01
# In spreads of the known items' scores.
_SHIFTS, _NEVER = np.arange(-6.0, 6.0, 0.1), -1e6
_K = 10


@dataclass(frozen=True)
class _Lists:
    """The best known and the best new items of each request: scores, and whether each is relevant."""

    known: Scores
    worth: Scores
    spread: Scores
    found: Hits
    deviation: float

    def ndcg(self, terms: NewcomerTerms, relevant: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of each request, once both are merged."""
        new = terms.stretch * self.worth + terms.shift * self.spread
        order = np.argsort(-np.concatenate([self.known, new], 1), axis=1, kind="stable")
        return ndcg(np.take_along_axis(self.found, order[:, :_K], 1), relevant, _K)


def fit_newcomers(
    of_known: Callable[[Requests], Scores],
    text: NDArray[np.float32],
    known: NDArray[np.bool_],
    valid: Requests,
    seed: int,
    count: int,
) -> NewcomerTerms:
    """Stretch and shift; without any text there is nothing to fit.

    `of_known` are the mixed scores of known items; `count` is how many new items there will be; the
    others as in `fit_mix`.
    """
    new = _new(known, max(count, round(_SHARE * len(known))), seed)
    shown = known & ~new
    newcomers = Newcomers(text, shown, NewcomerTerms())
    new &= text.any(1)
    if not new.any():
        return NewcomerTerms()
    lists = _lists(of_known, newcomers, new, valid)
    if lists.deviation == 0:
        return NewcomerTerms()
    stretch = float(np.median(lists.spread)) / lists.deviation
    counts = valid.counts()
    # Requests that are about what is treated as new say nothing of how often that happens.
    answered = np.array([bool(shown[rows].any()) for rows in valid.relevant])
    honest = np.array([bool((shown | ~known)[rows].all()) for rows in valid.relevant])

    def quality(shift: float) -> NDArray[np.float64]:
        return lists.ndcg(NewcomerTerms(stretch=stretch, shift=shift), counts)

    values = np.stack([quality(float(shift)) for shift in _SHIFTS])
    known_only = quality(_NEVER)[answered].sum()
    cost = values[:, answered].sum(1) < (1 - _COST) * known_only
    bounded = _SHIFTS[max(int(np.argmax(cost)) - 1, 0)] if cost.any() else 0.0
    wanted = _SHIFTS[int(values[:, honest].sum(1).argmax())]
    return NewcomerTerms(stretch=stretch, shift=float(max(bounded, wanted)))


def _new(known: NDArray[np.bool_], count: int, seed: int) -> NDArray[np.bool_]:
    """`(items,)`: as many as asked for, those that are new before others that are treated so."""
    rng, new = np.random.default_rng(seed), np.zeros_like(known)
    order = [rng.permutation(np.flatnonzero(kind)) for kind in (~known, known)]
    new[np.concatenate(order)[:count]] = True
    return new


def _lists(
    of_known: Callable[[Requests], Scores],
    newcomers: Newcomers,
    asked: NDArray[np.bool_],
    valid: Requests,
) -> _Lists:
    known, worth, spread, found, moments = [], [], [], [], np.zeros(3)
    described = asked[newcomers.rows]
    for part in valid.parts(len(newcomers.known)):
        scores = of_known(part)
        said = newcomers.worth(scores)
        told = said[:, described].astype(np.float64)
        moments += [told.size, told.sum(), np.square(told).sum()]
        new = np.full_like(scores, -np.inf)
        new[:, newcomers.rows] = np.where(described, said, -np.inf)
        old = np.where(newcomers.known, scores, -np.inf)
        ranked = [top_k(kind, part.forbidden(), _K) for kind in (old, new)]
        known.append(ranked[0][1])
        worth.append(ranked[1][1])
        spread.append(deviation(scores, newcomers.known))
        found.append(hits(np.concatenate([rows for rows, _ in ranked], 1), part.relevant))
    count, total, squares = moments
    return _Lists(
        np.concatenate(known),
        np.concatenate(worth),
        np.concatenate(spread),
        np.concatenate(found),
        float(np.sqrt(max(squares / count - (total / count) ** 2, 0.0))),
    )
