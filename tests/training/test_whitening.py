"""Tests of the whitening of text vectors."""

import numpy as np

from recloop.training.whitening import whitened


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_what_all_texts_share_no_longer_decides_which_are_similar() -> None:
    # Four texts share a large component. The second direction separates {0, 1} from {2, 3} widely,
    # and the third one 0 from 1 and 2 from 3 a little.
    text = unit(np.array([[9, 1, 0.2], [9, 1, -0.2], [9, -1, 0.2], [9, -1, -0.2]]))
    assert (text @ text.T).min() > 0.9
    cosines = whitened(text) @ whitened(text).T
    assert np.allclose(np.diag(cosines), 1, atol=1e-5)
    assert cosines[0, 2] < -0.5
    assert 0.5 < cosines[0, 1] < 0.99


def test_items_without_text_stay_zero_and_change_nothing() -> None:
    text = unit(np.random.default_rng(0).normal(size=(20, 5)) + 1)
    padded = np.zeros((25, 5), np.float32)
    padded[5:] = text
    found = whitened(padded)
    assert not found[:5].any()
    assert np.allclose(found[5:], whitened(text), atol=1e-5)


def test_a_catalogue_of_equal_or_missing_texts_is_returned_as_it_is() -> None:
    same = np.tile(unit(np.array([[1.0, 2.0, 2.0]])), (6, 1))
    nothing = np.zeros((4, 3), np.float32)
    assert np.array_equal(whitened(same), same)
    assert np.array_equal(whitened(nothing), nothing)
    assert np.array_equal(whitened(same[:1]), same[:1])
