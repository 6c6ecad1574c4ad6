"""Warm start: transfer of a model to a changed catalogue, and measurement of forgetting."""

from collections.abc import Sequence

import numpy as np
import torch

from recloop.data.catalogue import Catalogue
from recloop.data.user_sequences import UserSequence
from recloop.evaluation.evaluation_requests import Requests
from recloop.training.finetuning.sequence_model import SequenceModel
from recloop.training.modules.tower import ItemVectors, TowerConfig


def transfer_to_catalogue(
    model: SequenceModel, ids: Sequence[str], catalogue: Catalogue, config: TowerConfig
) -> SequenceModel:
    """Transfer a model to a catalogue: its items keep their vectors, others are untrained.

    Args:
        model: The model.
        ids: Item ids of the model's rows.
        catalogue: The new catalogue.
        config: Settings of the tower.
    """
    old = np.flatnonzero(np.isin(np.array(ids), np.array(catalogue.ids)))
    new = torch.from_numpy(catalogue.rows(ids))
    state = model.items.state_dict()
    items = ItemVectors(len(catalogue), model.items.text_width, config)
    vectors = items.ids.detach().clone()
    vectors[new] = state["ids"][old]
    items.load_state_dict({**state, "ids": vectors})
    warm = torch.zeros(len(catalogue), dtype=torch.bool)
    warm[new] = model.warm[old]
    return SequenceModel(items, model.tower, warm)


def forgetting_requests(
    sequences: Sequence[UserSequence], at_most: int, seed: int, *, repeats: bool = False
) -> Requests:
    """Return requests that measure forgetting: the last step of users of earlier data.

    A model that was trained on these sequences predicts the last steps well, and may lose this
    when it is trained on others.

    Args:
        sequences: Sequences of earlier users.
        at_most: Largest number of requests, drawn at random.
        seed: Seed of the draw.
        repeats: Whether the last step may be an item that the user had before.
    """
    requests = Requests(
        [sequence.rows[:-1] for sequence in sequences],
        [sequence.rows[-1:] for sequence in sequences],
        masked=not repeats,
        signals=[sequence.signals[:-1] for sequence in sequences],
    )
    return requests.sample(at_most, seed)
