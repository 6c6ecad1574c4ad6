"""A process that serves several models in turn frees the earlier ones."""

import gc
import weakref

import pytest

from recloop.serving.warm_up import freeze_gc


class Model:
    """Object that refers to itself, as models with bound methods do."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _as_before():
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_the_served_model_is_frozen_and_the_previous_one_is_collected() -> None:
    first = Model()
    seen = weakref.ref(first)
    freeze_gc()
    assert gc.get_freeze_count() > 0
    del first
    gc.collect()
    assert seen() is not None  # frozen objects are not collected, even without a reference
    freeze_gc()
    assert seen() is None


def full_rounds() -> int:
    """Return the number of full collections while 300,000 objects are created and kept."""
    before = gc.get_stats()[2]["collections"]
    kept: list[list[int]] = [[] for _ in range(300_000)]
    assert len(kept) == 300_000
    return gc.get_stats()[2]["collections"] - before


def test_full_collections_are_rare_while_a_model_serves() -> None:
    freeze_gc()
    assert full_rounds() == 0
    gc.set_threshold(700, 10, 10)
    # Python puts off a full collection until a quarter of the objects that the last one left is
    # new. That was before they were frozen, and there may be millions after other tests.
    gc.collect()
    assert full_rounds() > 1
