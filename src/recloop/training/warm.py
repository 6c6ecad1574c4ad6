"""A model carried over to a catalogue that has grown, shrunk or changed its order; what it forgets."""

from collections.abc import Sequence

import numpy as np
import torch

from recloop.data.catalogue import Catalogue
from recloop.data.trail import Trail
from recloop.evaluation.offline import Requests
from recloop.models.tower import ItemVectors, TowerConfig
from recloop.training.sequence import SequenceModel


def carried(
    model: SequenceModel, ids: Sequence[str], catalogue: Catalogue, config: TowerConfig
) -> SequenceModel:
    """The model on `catalogue`: items keep what was learned of them, others are as good as new.

    `ids` `(items,)` are those that the model's rows stand for.
    """
    old = np.flatnonzero(np.isin(np.array(ids), np.array(catalogue.ids)))
    new = torch.from_numpy(catalogue.rows(ids))
    state = model.items.state_dict()
    items = ItemVectors(len(catalogue), model.items.text_width, config)
    vectors = items.ids.detach().clone()
    vectors[new] = state["ids"][old]
    items.load_state_dict({**state, "ids": vectors})
    known = torch.zeros(len(catalogue), dtype=torch.bool)
    known[new] = model.known[old]
    return SequenceModel(items, model.tower, known)


def remembered(
    trails: Sequence[Trail], at_most: int, seed: int, *, repeats: bool = False
) -> Requests:
    """The forgetting check: of people from before, what they did last, with all before it as history.

    Whoever has learned from these trails has learned the answers; whoever goes on to learn from others
    may lose them. Of more than `at_most` people, some are drawn. With `repeats`, what they did last may be
    what they had done before.
    """
    asked = Requests(
        [trail.rows[:-1] for trail in trails],
        [trail.rows[-1:] for trail in trails],
        masked=not repeats,
        signals=[trail.signals[:-1] for trail in trails],
    )
    return asked.sample(at_most, seed)
