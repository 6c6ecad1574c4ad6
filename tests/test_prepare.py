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
def _thawed():
    yield
    gc.unfreeze()


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
