"""STAR: text similarity and co-occurrence with the user's newest items, without training."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recloop.scoring.candidate_set import ALL_ITEMS, Candidates
from recloop.scoring.channels.item_item import Dense, Sparse
from recloop.scoring.channels.last_items import last_items_matrix, linked_scores
from recloop.scoring.scorer import History, Scores, dot_products


@dataclass(frozen=True)
class StarSetting:
    """Settings of STAR; the defaults are those of the paper.

    Attributes:
        semantic: Weight of the text similarity, in [0, 1]; co-occurrence gets the rest.
        decay: Factor by which a history item counts less than the next newer one.
        last: Number of newest history items.
    """

    semantic: float = 0.5
    decay: float = 0.7
    last: int = 3

    def to_dict(self) -> dict[str, Any]:
        """Return the settings by name."""
        return asdict(self)


class Star:
    """Scores an item by its mean similarity to the newest history items.

    The similarity to each of them is `semantic * cosine of the texts + (1 - semantic) * cosine of
    the sets of users`, times `decay` for each step into the past. The paper also multiplies it by
    the user's rating. A request holds no ratings, so every history item counts 1, as the paper does
    for data without ratings. An item's similarity to itself is 1; it matters only where seen items
    may be recommended.

    Args:
        text: Centred unit text vectors, `(items, width)`; zeros for an item without text.
        links: Cosines of the items' sets of users, `(items, items)`.
        setting: The settings.

    Reference:
        Lee et al. 2024, "STAR: A Simple Training-free Approach for Recommendations using Large
        Language Models", the retrieval stage.
    """

    def __init__(
        self, text: NDArray[np.float32], links: Dense | Sparse, setting: StarSetting
    ) -> None:
        self._text = text
        self._links = links
        self._setting = setting

    def score(self, histories: Sequence[History], candidates: Candidates = ALL_ITEMS) -> Scores:
        """Return scores `(requests, candidates)`; an empty history scores all items 0."""
        setting = self._setting
        steps = last_items_matrix(histories, len(self._text), setting.last, setting.decay)
        lengths = np.maximum(np.diff(steps.indptr), 1).astype(np.float32)[:, None]
        semantic = dot_products(steps @ self._text, self._text, candidates)
        collaborative = linked_scores(steps, self._links)[:, candidates.rows]
        mixed = setting.semantic * semantic + (1 - setting.semantic) * collaborative
        scores: Scores = (mixed / lengths).astype(np.float32, copy=False)
        return scores
