"""A process that serves one model after the other keeps nothing of the earlier ones."""

import gc
import weakref

import pytest

from recloop.serving.prepare import leave_uncollected


class Model:
    """Something that refers to itself, as models with bound methods do."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _as_before():
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_what_serves_is_passed_over_and_what_served_before_is_collected() -> None:
    first = Model()
    seen = weakref.ref(first)
    leave_uncollected()
    assert gc.get_freeze_count() > 0
    del first
    gc.collect()
    assert seen() is not None  # passed over, whether or not anybody has it
    leave_uncollected()
    assert seen() is None


def full_rounds() -> int:
    """Of garbage collection, while 300,000 objects grow old."""
    before = gc.get_stats()[2]["collections"]
    kept: list[list[int]] = [[] for _ in range(300_000)]
    assert len(kept) == 300_000
    return gc.get_stats()[2]["collections"] - before


def test_what_grows_old_while_a_model_serves_is_not_gone_through_again_and_again() -> None:
    leave_uncollected()
    assert full_rounds() == 0
    gc.set_threshold(700, 10, 10)
    assert full_rounds() > 1
