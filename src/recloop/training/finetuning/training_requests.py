"""Training requests of the ranker: random positions in users' sequences."""

from collections.abc import Sequence

import numpy as np

from recloop.data.catalogue import Rows
from recloop.data.user_sequences import UserSequence
from recloop.evaluation.evaluation_requests import Requests
from recloop.scoring.scorer import Channel
from recloop.scoring.top_k import Ranked, top_k

# A history shorter than this says little, and a busy person says no more than this many times.
_EARLIEST, _PER_USER = 5, 3


def moments(trails: Sequence[UserSequence], at_most: int, seed: int) -> tuple[Requests, list[Rows]]:
    """Return requests whose relevant item is the next step, and the other items of the user.

    Args:
        trails: Sequences of the users.
        at_most: Largest number of requests.
        seed: Seed of the positions.
    """
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
    """Return the best items of a channel, `(requests, depth)`, without forbidden ones.

    Args:
        channel: The channel.
        requests: The requests.
        forbidden: Rows of each request that are left out.
        items: Number of items.
        depth: Number of ranks.
    """
    found, start = [], 0
    for part in requests.parts(items):
        end = start + len(part.histories)
        found.append(top_k(channel(part), forbidden[start:end], depth)[0])
        start = end
    return np.concatenate(found)
