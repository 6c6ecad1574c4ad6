"""Candidate retrieval: the items of a large catalogue that are scored for a request."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, NamedTuple, Protocol

from pydantic import Field

from recloop.config import ConfigModel
from recloop.data.catalogue import Rows
from recloop.recommender.items.eligibility import EligibilityFilter
from recloop.scoring.candidate_set import Candidates, CandidateSet, ReferenceSample, sorted_union
from recloop.scoring.candidates.approximation import ScoreApproximator
from recloop.scoring.scorer import Scores


class GenerateCandidates(Protocol):
    """Function that returns rows of candidates, in any order."""

    def __call__(self, count: int, *, sampled: bool) -> Rows:
        """Return about `count` rows of each generator, shape `(candidates,)`.

        With `sampled`, the generators leave out searches in vector indexes: the best items are
        found in another way, and the reference sample is enough to standardise the scores.
        """
        ...


class Search(NamedTuple):
    """Functions that find candidates of one request.

    Attributes:
        generate: Generates candidates.
        score: Returns blended scores of candidates, shape `(1, candidates)`.
        add_cold_items: Adds to rows the cold items related to them, some for a given count.
        add_neighbours: Adds to rows the warm items from which their cold items take scores.
    """

    generate: GenerateCandidates
    score: Callable[[Candidates], Scores]
    add_cold_items: Callable[[Rows, int], Rows]
    add_neighbours: Callable[[Rows], Rows]


class RetrievalConfig(ConfigModel):
    """Settings of candidate generation."""

    min_catalogue: Annotated[int, Field(ge=0)] = 200_000
    """Items of the catalogue from which on only candidates are scored."""
    per_channel: Annotated[int, Field(ge=1)] = 300
    """Candidates of each channel."""
    widen_factor: Annotated[int, Field(ge=1)] = 8
    """Factor by which each channel names more, where too few candidates are eligible."""
    exhaustive_below: Annotated[int, Field(ge=0)] = 8_192
    """Items that meet a filter up to which all of them are scored."""
    shortlist: Annotated[int, Field(ge=1)] = 2_048
    """Items of a wider filter that are scored, the best by an approximation."""
    sample: Annotated[int, Field(ge=1)] = 2_048
    """Items of the sample by which scores are standardised."""
    seed: int = 42
    """Seed of the sample."""


@dataclass(frozen=True)
class CandidateRetrieval:
    """Candidate retrieval in a large catalogue.

    Attributes:
        config: Numbers of candidates.
        sample: Reference sample of items, by which scores are standardised.
        approximator: Approximate scores for filters that many items match.
    """

    config: RetrievalConfig
    sample: ReferenceSample
    approximator: ScoreApproximator

    def candidates(self, eligibility: EligibilityFilter, k: int, search: Search) -> Candidates:
        """Return the candidates of a request.

        At least k of them are eligible, or all items that are.

        Args:
            eligibility: Eligibility filter of the request.
            k: Length of the list.
            search: Functions that find candidates.
        """
        found = search.generate(self.config.per_channel, sampled=self._few_match(eligibility))
        # Ineligible candidates stay, because scores are standardised over all candidates.
        candidates = self._with_neighbours(
            sorted_union(found, self._matching(eligibility, search)), search
        )
        if eligibility.matches is None and _short(eligibility, candidates, k):
            wide = search.generate(
                self.config.per_channel * self.config.widen_factor, sampled=False
            )
            candidates = self._with_neighbours(wide, search)
        if _short(eligibility, candidates, k):
            candidates = self._with_neighbours(eligibility.eligible_rows(), search)
        return candidates

    def _matching(self, eligibility: EligibilityFilter, search: Search) -> Rows:
        """Return the rows that match the filter, shape `(rows,)`.

        These are all of them, or the best by approximate scores.
        """
        rows = eligibility.matching_rows
        if rows is None:
            return sorted_union()
        if len(rows) <= self.config.exhaustive_below:
            return rows
        candidates = self._with_neighbours(sorted_union(), search)
        likely = self.approximator.shortlist(
            candidates, search.score(candidates)[0], rows, self.config.shortlist
        )
        # The approximation has no scores for cold items, so they are found by their neighbours.
        return search.add_cold_items(likely, self.config.per_channel)

    def _few_match(self, eligibility: EligibilityFilter) -> bool:
        """Return whether so few items match the filter that most candidates would not."""
        rows = eligibility.matching_rows
        return rows is not None and len(rows) * self.config.widen_factor <= len(
            eligibility.catalogue
        )

    def _with_neighbours(self, found: Rows, search: Search) -> CandidateSet:
        return self.sample.with_candidates(search.add_neighbours(found))


def _short(eligibility: EligibilityFilter, candidates: Candidates, k: int) -> bool:
    rows = candidates.size(len(eligibility.catalogue))
    return rows - len(sorted_union(eligibility.ineligible_positions(candidates))) < k
