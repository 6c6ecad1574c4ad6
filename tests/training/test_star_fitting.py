"""Tests of STAR's centred texts and of the co-occurrence of items."""

import numpy as np
import pytest
from scipy import sparse

from recloop.training.channels.star_fitting import centred_text, co_occurrence

# Three users: {0, 1}, {0, 1}, {1, 2}; item 3 is nobody's.
MATRIX = sparse.csr_matrix(np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0]], np.float32))


def test_co_occurrence_is_the_cosine_of_the_sets_of_users() -> None:
    links = co_occurrence(MATRIX)
    found = links if isinstance(links, np.ndarray) else links.toarray()
    # 0 and 1 share two of two and three users, 1 and 2 one of three and one.
    near, far = 2 / np.sqrt(2 * 3), 1 / np.sqrt(3 * 1)
    expected = [[1, near, 0, 0], [near, 1, far, 0], [0, far, 1, 0], [0, 0, 0, 0]]
    assert found == pytest.approx(np.array(expected))


def test_texts_are_centred_without_those_that_are_missing() -> None:
    text = np.array([[2, 0], [0, 0], [0, 2], [1, 4]], np.float32)
    # The mean of the three texts is (1, 2).
    expected = [np.array([1, -2]) / np.sqrt(5), [0, 0], [-1, 0], [0, 1]]
    assert centred_text(text) == pytest.approx(np.array(expected))


def test_no_text_at_all() -> None:
    assert centred_text(np.zeros((2, 1), np.float32)).tolist() == [[0], [0]]
