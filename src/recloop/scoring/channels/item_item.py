"""Item-item models, EASE and item-kNN, applied to a recency-decayed history."""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recloop.data.catalogue import Rows
from recloop.scoring.candidate_set import ALL_ITEMS, Candidates, CandidateSet
from recloop.scoring.scorer import Channel, History, Scores, ScoringRequests, decayed_history

Dense = NDArray[np.float32]
Sparse = sparse.csr_matrix
Weights = TypeVar("Weights", bound=Dense | Sparse)

# A matrix with more than one non-zero in this many entries is faster to sum in dense form.
_DENSE_BELOW = 16


class SparseScores(NamedTuple):
    """Scores of some items; all others have 0.

    Attributes:
        rows: Distinct rows, ascending, `(scored items,)`.
        values: Their scores, `(scored items,)`.
    """

    rows: Rows
    values: Dense

    def scatter_into(self, scores: Dense, candidates: Candidates) -> None:
        """Write the scores of the candidates into `scores` `(candidates,)`."""
        positions = candidates.positions(self.rows)
        scored = positions >= 0
        scores[positions[scored]] = self.values[scored]


class ItemItemModel(Generic[Weights]):
    """Scores items by the product of the recency-decayed history and an item-item matrix.

    An item that occurs several times in a history counts once, at its last occurrence.

    Args:
        weights: Item-item matrix, `(covered items, covered items)`, dense or sparse.
        rows: Catalogue rows of the covered items, ascending.
        items: Number of items of the catalogue; those not covered score 0.
        decay: Factor by which a step counts less than the next newer one; 1 is no decay.

    >>> weights = np.array([[0, 0.5], [0.25, 0]], np.float32)
    >>> model = ItemItemModel(weights, rows=np.array([0, 2]), items=3, decay=1.0)
    >>> model.score([np.array([0])]).tolist()
    [[0.0, 0.0, 0.5]]

    Reference:
        Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data" (EASE).
        Sarwar et al. 2001, "Item-Based Collaborative Filtering Recommendation Algorithms", and
        Deshpande & Karypis 2004, "Item-Based Top-N Recommendation Algorithms" (item-kNN).
    """

    def __init__(self, weights: Weights, rows: NDArray[np.int64], items: int, decay: float) -> None:
        self.weights = weights
        self.rows = rows
        self.items = items
        self.decay = decay
        self._matrix_row = np.full(items, -1, np.int64)
        self._matrix_row[rows] = np.arange(len(rows))

    def score(self, histories: Sequence[History], candidates: Candidates = ALL_ITEMS) -> Scores:
        """Return scores `(requests, candidates)`; an empty history scores all items 0."""
        scores = np.zeros((len(histories), candidates.size(self.items)), np.float32)
        for row, history in enumerate(histories):
            if isinstance(candidates, CandidateSet):
                self.sparse_scores_for(history).scatter_into(scores[row], candidates)
            else:
                scores[row, self.rows] = self.scores_for(history)
        return scores

    def scores_for(self, history: History) -> Dense:
        """Return the scores of the covered items, `(covered items,)`."""
        weights, matrix_rows = self._covered_steps(history)
        if isinstance(self.weights, np.ndarray):
            scores: Dense = weights @ self.weights[matrix_rows]
            return scores
        columns, values = _weighted_entries(weights, self.weights, matrix_rows)
        summed = np.zeros(self.weights.shape[1], np.float32)
        np.add.at(summed, columns, values)
        return summed

    def sparse_scores_for(self, history: History) -> SparseScores:
        """Return the scores of the items that the matrix links to a history `(steps,)`.

        With a sparse matrix, the cost depends on the number of links only, not on the covered
        items.
        """
        if isinstance(self.weights, np.ndarray):
            return SparseScores(self.rows, self.scores_for(history))
        weights, matrix_rows = self._covered_steps(history)
        entries, values = _weighted_entries(weights, self.weights, matrix_rows)
        columns, number = np.unique(entries, return_inverse=True)
        summed = np.bincount(number, values, len(columns)).astype(np.float32)
        return SparseScores(self.rows[columns], summed)

    def _covered_steps(self, history: History) -> tuple[Dense, History]:
        """Return weights and matrix rows of the steps that the matrix covers, `(steps,)` each."""
        items, weights = decayed_history(history, self.decay)
        matrix_rows = self._matrix_row[items]
        covered = matrix_rows >= 0
        return weights[covered], matrix_rows[covered]


def no_links(items: int) -> Sparse:
    """Return an item-item matrix `(items, items)` without an entry."""
    none = np.empty(0, np.int64)
    return sparse.csr_matrix((np.empty(0, np.float32), (none, none)), shape=(items, items))


def densify_if_full(weights: Sparse) -> Dense | Sparse:
    """Return the matrix in dense form where more than 1 in 16 entries is stored.

    Args:
        weights: Item-item matrix, `(covered items, covered items)`.
    """
    rows, columns = weights.shape
    is_full = weights.nnz * _DENSE_BELOW > rows * columns
    chosen: Dense | Sparse = weights.toarray() if is_full else weights
    return chosen


def sparse_scores_channel(
    score_sparsely: Callable[[ScoringRequests], Sequence[SparseScores]], items: int
) -> Channel:
    """Return a channel, with scores `(requests, candidates)`, from a function of sparse scores.

    Args:
        score_sparsely: Returns the sparse scores of each request.
        items: Number of items of the catalogue.
    """

    def score(requests: ScoringRequests) -> Scores:
        sparse_scores = score_sparsely(requests)
        scores = np.zeros((len(sparse_scores), requests.candidates.size(items)), np.float32)
        for row, own in enumerate(sparse_scores):
            own.scatter_into(scores[row], requests.candidates)
        return scores

    return score


def _weighted_entries(
    weights: Dense, matrix: Sparse, rows: History
) -> tuple[NDArray[np.int32], Dense]:
    """Return columns and values of the summands of `weights @ matrix[rows]`, uncopied."""
    starts = matrix.indptr[rows]
    sizes = matrix.indptr[rows + 1] - starts
    ends = np.cumsum(sizes)
    entries = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + sizes, sizes)
    return matrix.indices[entries], np.repeat(weights, sizes) * matrix.data[entries]
