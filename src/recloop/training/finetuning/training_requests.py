"""Training requests of the ranker: random positions in users' sequences."""

from collections.abc import Sequence

import numpy as np

from recloop.data.catalogue import Rows
from recloop.data.user_sequences import UserSequence
from recloop.evaluation.evaluation_requests import Requests
from recloop.scoring.scorer import Channel
from recloop.scoring.top_k import Ranked, top_k

# Shortest history of a request, and largest number of requests of a user.
_EARLIEST, _PER_USER = 5, 3


def sample_training_requests(
    sequences: Sequence[UserSequence], at_most: int, seed: int
) -> tuple[Requests, list[Rows]]:
    """Return requests whose relevant item is the next step, and the other items of the user.

    Args:
        sequences: Sequences of the users.
        at_most: Largest number of requests.
        seed: Seed of the positions.

    Returns:
        The requests, and the item rows of all other steps of each request's user, `(steps - 1,)`.
    """
    rng = np.random.default_rng(seed)
    positions = [
        (sequence, int(position))
        for sequence in sequences
        if len(sequence.rows) > _EARLIEST
        for position in rng.permutation(np.arange(_EARLIEST, len(sequence.rows)))[:_PER_USER]
    ]
    positions = [positions[number] for number in rng.permutation(len(positions))[:at_most]]
    requests = Requests(
        [sequence.rows[:position] for sequence, position in positions],
        [sequence.rows[position : position + 1] for sequence, position in positions],
        signals=[sequence.signals[:position] for sequence, position in positions],
    )
    return requests, [np.delete(sequence.rows, position) for sequence, position in positions]


def top_candidates(
    channel: Channel, requests: Requests, excluded: Sequence[Rows], items: int, depth: int
) -> Ranked:
    """Return the best items of a channel, `(requests, depth)`, without excluded ones.

    Args:
        channel: The channel.
        requests: The requests.
        excluded: Rows of each request that are left out.
        items: Number of items.
        depth: Number of ranks.
    """
    found, start = [], 0
    for part in requests.batches(items):
        end = start + len(part.histories)
        found.append(top_k(channel(part), excluded[start:end], depth)[0])
        start = end
    return np.concatenate(found)
