"""Tests of the words channel's neighbours against a brute-force computation."""

import numpy as np
import pytest

from recloop.scoring.lexical_vectors import lexical_vectors
from recloop.training.channels import item_item_fitting
from recloop.training.channels.word_similarity_fitting import word_neighbours

TEXTS = ["red lamp", "", "red chair", "blue lamp red", "old chair", None, "old red clock", "sofa"]


@pytest.mark.parametrize("cells", [1, 1 << 24])
def test_neighbours_are_the_nearest_by_cosine(monkeypatch, cells) -> None:
    monkeypatch.setattr(item_item_fitting, "_CELLS", cells)
    vectors = lexical_vectors(TEXTS)
    exact = (vectors @ vectors.T).toarray()
    np.fill_diagonal(exact, 0)
    found = word_neighbours(vectors, neighbours=2, max_items=100).toarray()
    for row, cosines in enumerate(exact):
        least = max(np.sort(cosines)[-2], 1e-9)  # items that equal the second are kept as well
        assert found[row] == pytest.approx(np.where(cosines >= least, cosines, 0))


def test_only_the_first_items_with_a_text_are_covered() -> None:
    found = word_neighbours(lexical_vectors(TEXTS), neighbours=5, max_items=2)
    assert set(found.nonzero()[0].tolist()) == {0, 2}


def test_without_texts_there_are_no_neighbours() -> None:
    assert word_neighbours(lexical_vectors(["", None]), 5, 100).shape == (2, 2)
    assert word_neighbours(lexical_vectors(["", None]), 5, 100).nnz == 0
