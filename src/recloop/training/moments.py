"""Random moments of training with a fast path's first places: what a ranker learns from."""

from collections.abc import Sequence

import numpy as np

from recloop.data.catalogue import Rows
from recloop.data.trail import Trail
from recloop.evaluation.offline import Requests
from recloop.models.ranking import Ranked, top_k
from recloop.models.scorer import Channel

# A history shorter than this says little, and a busy person says no more than this many times.
_EARLIEST, _PER_USER = 5, 3


def moments(trails: Sequence[Trail], at_most: int, seed: int) -> tuple[Requests, list[Rows]]:
    """Requests whose one relevant item is the next step; and of each, all other items of that trail."""
    rng = np.random.default_rng(seed)
    places = [
        (trail, int(place))
        for trail in trails
        if len(trail.rows) > _EARLIEST
        for place in rng.permutation(np.arange(_EARLIEST, len(trail.rows)))[:_PER_USER]
    ]
    places = [places[number] for number in rng.permutation(len(places))[:at_most]]
    requests = Requests(
        [trail.rows[:place] for trail, place in places],
        [trail.rows[place : place + 1] for trail, place in places],
        signals=[trail.signals[:place] for trail, place in places],
    )
    return requests, [np.delete(trail.rows, place) for trail, place in places]


def first_places(
    channel: Channel, requests: Requests, forbidden: Sequence[Rows], items: int, depth: int
) -> Ranked:
    """`(requests, depth)`: what a channel puts first, without what is forbidden."""
    found, start = [], 0
    for part in requests.parts(items):
        end = start + len(part.histories)
        found.append(top_k(channel(part), forbidden[start:end], depth)[0])
        start = end
    return np.concatenate(found)
