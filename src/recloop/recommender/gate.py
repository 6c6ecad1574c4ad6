"""The one final filter of every list: what a request must not be answered with."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, reduce

import numpy as np

from recloop.data.catalogue import Catalogue, Rows
from recloop.models.scope import EVERYTHING, Scope
from recloop.recommender.facts import Mask
from recloop.recommender.filters import Where
from recloop.recommender.offer import Offer


@dataclass(frozen=True)
class Gate:
    """Of one request, which has met the rows `seen` and is at the moment `at`, if that counts."""

    catalogue: Catalogue
    offer: Offer
    exclude: Iterable[str]
    seen: Rows
    at: datetime | None
    categories: frozenset[str]
    where: Where

    @cached_property
    def met(self) -> Mask | None:
        """`(items,)`: what has the categories and meets the conditions; None where there are neither."""
        masks = [] if self.where.nothing else [self.where.met(self.catalogue, self.offer)]
        if self.categories:
            masks.append(self.offer.facts.in_categories(self.categories))
        return reduce(np.logical_and, masks) if masks else None

    @cached_property
    def meeting(self) -> Rows | None:
        """Their rows, ascending."""
        return None if self.met is None else np.flatnonzero(self.met)

    def forbidden(self, scope: Scope) -> Rows:
        """Places in scope of what must not leave."""
        barred = np.concatenate([self.catalogue.rows(self.exclude), self.seen])
        places = scope.places(barred)
        wrong = self.offer.refused(self.at, scope)
        if self.met is not None:
            wrong |= ~self.met[scope.rows]
        return np.concatenate([places[places >= 0], np.flatnonzero(wrong)])

    def allowed(self) -> Rows:
        """Rows of all that may leave."""
        allowed = np.ones(len(self.catalogue), np.bool_)
        allowed[self.forbidden(EVERYTHING)] = False
        return np.flatnonzero(allowed)
