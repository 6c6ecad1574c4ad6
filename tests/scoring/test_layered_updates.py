"""Tests of layered updates: the newest value wins, few layers hold all, none is copied often."""

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from recloop.scoring.layered_updates import push_layer


@dataclass(frozen=True)
class Said:
    """Values by name, and how many values were copied to build them."""

    words: dict[int, str]
    copied: int = 0

    def __len__(self) -> int:
        return len(self.words)

    def merged_with(self, later: "Said") -> "Said":
        both = {**self.words, **later.words}
        return Said(both, self.copied + later.copied + len(both))


def test_a_layer_that_is_not_twice_as_long_is_merged_with_the_next() -> None:
    first, second, third = Said({1: "a", 2: "a", 3: "a"}), Said({4: "b"}), Said({1: "c"})
    assert push_layer([], first) == (first,)
    assert push_layer([first], second) == (first, second)
    (both,) = push_layer([first, second], third)
    assert both.words == {1: "c", 2: "a", 3: "a", 4: "b"}


@given(st.lists(st.dictionaries(st.integers(0, 50), st.text(max_size=2), min_size=1), min_size=1))
def test_the_newest_value_wins_and_layers_halve_in_length(changes) -> None:
    layers: tuple[Said, ...] = ()
    for words in changes:
        layers = push_layer(layers, Said(words))
    merged = {key: word for layer in layers for key, word in layer.words.items()}
    assert merged == {key: word for words in changes for key, word in words.items()}
    lengths = [len(layer) for layer in layers]
    assert all(long > 2 * short for long, short in pairwise(lengths))


def test_one_more_change_does_not_copy_all() -> None:
    """Each of 1,000 changes is copied at most twice for each time that 1,000 can be halved."""
    layers: tuple[Said, ...] = ()
    for number in range(1_000):
        layers = push_layer(layers, Said({number: "x"}))
    assert sum(layer.copied for layer in layers) <= 2 * 10 * 1_000
