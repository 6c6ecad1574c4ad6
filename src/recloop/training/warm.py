"""A model carried over to a catalogue that has grown, shrunk or changed its order."""

from collections.abc import Sequence

import numpy as np
import torch

from recloop.data.catalogue import Catalogue
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
