"""Tests of models that continue from an earlier one."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
import torch

from recloop.data.catalogue import Catalogue
from recloop.data.frame_schemas import TIMESTAMP_TYPE
from recloop.data.interaction_log import TRAIN_PART, InteractionLog
from recloop.data.split import part
from recloop.data.user_sequences import sequences_from_rows
from recloop.evaluation.evaluation_requests import Requests
from recloop.training.device import Compute
from recloop.training.finetuning.fit import fit
from recloop.training.finetuning.sequence_model import copied
from recloop.training.finetuning.validation import validation_metric
from recloop.training.finetuning.warm_start import forgetting_requests, transfer_to_catalogue
from tests.support.ring import RING_REQUESTS, ring_config, ring_sequences, ring_texts

CPU = Compute(torch.device("cpu"), bf16=False)


@pytest.mark.slow
def test_a_model_is_continued_on_newer_items_and_stays_as_it_was() -> None:
    text, metric = ring_texts(), validation_metric(RING_REQUESTS, window=8)
    old = [sequence.select(sequence.rows != 11) for sequence in ring_sequences()]
    start, history = fit(old, text, ring_config(), CPU, validate=metric)
    assert history.best_quality() == 1.0
    before = copied(start.items.state_dict())
    newer = ring_config().continuing(30)
    model, _ = fit(ring_sequences(), text, newer, CPU, start=start)
    assert newer.epochs < 10
    assert (int(start.warm.sum()), int(model.warm.sum())) == (11, 12)
    assert all(torch.equal(before[n], p) for n, p in start.items.state_dict().items())
    ring = Requests([np.arange(7, 11), np.arange(4)], [np.array([11]), np.array([4])])
    assert validation_metric(ring, window=8)(model, text.vectors) == 1.0
    assert not torch.equal(model.vectors(text.vectors)[11], start.vectors(text.vectors)[11])


def test_a_model_is_transferred_to_another_catalogue_item_by_item() -> None:
    settings = ring_config(epochs=1)
    model, _ = fit(ring_sequences(), ring_texts(), settings, CPU)
    count = len(model.warm)
    ids = [f"i{row}" for row in range(count)]
    today = Catalogue(pl.DataFrame({"item_id": ["new", *reversed(ids[1:])]}))  # i0 has gone
    moved = transfer_to_catalogue(model, ids, today, settings.tower)
    assert not moved.warm[0]
    assert torch.equal(moved.warm[1:], model.warm[1:].flip(0))
    assert torch.equal(moved.items.ids[1:], model.items.ids[1:].flip(0))
    text = torch.randn(count, ring_texts().vectors.shape[1])
    there = torch.cat([text[:1], text[1:].flip(0)])
    torch.testing.assert_close(moved.vectors(there)[1:], model.vectors(text)[1:].flip(0))


@pytest.mark.slow
def test_the_forgetting_check_requests_the_last_item_of_each_user() -> None:
    requests = forgetting_requests(ring_sequences(), at_most=100, seed=0)
    assert [rows.tolist() for rows in requests.relevant[:2]] == [[8], [9]]
    assert requests.histories[0].tolist() == list(range(8))
    assert len(forgetting_requests(ring_sequences(), at_most=5, seed=0).histories) == 5
    model, _ = fit(ring_sequences(), ring_texts(), ring_config(), CPU)
    learned = validation_metric(requests, window=8)(model, ring_texts().vectors)
    other, _ = fit(
        sequences_from_rows([np.arange(11, -1, -1)] * 20),
        ring_texts(),
        ring_config(epochs=10),
        CPU,
        start=model,
    )
    assert validation_metric(requests, window=8)(other, ring_texts().vectors) < learned


@pytest.mark.parametrize(("repeats", "history", "last"), [(True, [0, 1], 0), (False, [0], 1)])
def test_the_forgetting_check_allows_repeats_if_the_data_do(repeats, history, last) -> None:
    """The user took bread, milk and bread again, and rice after the model had been trained."""
    shop = pl.Series(["bread", "milk", "rice"])
    days = [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 3, 5)]
    did = pl.DataFrame({"item_id": ["bread", "milk", "bread", "rice"], "timestamp": days})
    did = did.with_columns(part(TRAIN_PART), user_id=pl.lit("u"), event=pl.lit("purchase"))
    log = InteractionLog.from_frame(did.cast({"timestamp": TIMESTAMP_TYPE}), shop, repeats=repeats)
    trained_until = datetime(2024, 1, 4, tzinfo=UTC).timestamp()
    requests = forgetting_requests(
        log.before(trained_until).sequences(), 100, seed=0, repeats=repeats
    )
    assert [rows.tolist() for rows in requests.histories] == [history]
    assert [rows.tolist() for rows in requests.relevant] == [[last]]
    best_first = np.array([[0.3, 0.2, 0.1]], np.float32)  # bread, unless that may not come again
    assert requests.ndcg_at_10(best_first) == 1.0
