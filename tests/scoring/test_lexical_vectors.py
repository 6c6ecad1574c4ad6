"""Tests of the lexical vectors: terms of all scripts, rare words before common ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recloop.scoring.lexical_vectors import lexical_vectors, terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("!?", []),
        ("HP-1320 Toner", ["hp", "1320", "toner", "hp 1320", "1320 toner"]),
        ("crème brûlée", ["creme", "brulee", "creme brulee"]),
        ("スター", ["スタ", "ター"]),
        ("猫", ["猫"]),
        ("Sony 相机", ["相机", "sony"]),
        ("한국 영화", ["한국", "영화", "한국 영화"]),
    ],
)
def test_terms_are_words_pairs_of_words_and_pairs_of_characters(text, expected) -> None:
    assert list(terms(text)) == expected


def test_a_shared_rare_word_counts_more_than_a_shared_common_one() -> None:
    texts = ["red lamp", "red chair", "zx81 chair", "red table", "zx81 bed", "red sofa"]
    vectors = lexical_vectors(texts)
    similarity = (vectors @ vectors.T).toarray()
    assert similarity[2, 4] > similarity[0, 1] > 0
    assert similarity[0, 4] == 0


def test_other_languages_without_spaces_find_similar_texts() -> None:
    vectors = lexical_vectors(["红色电影", "红色的电影院", "蓝色的书"])
    similarity = (vectors @ vectors.T).toarray()
    assert similarity[0, 1] > similarity[0, 2]


@given(st.lists(st.none() | st.text(max_size=40), max_size=8))
def test_vectors_are_units_or_empty(texts) -> None:
    norms = np.sqrt(np.asarray(lexical_vectors(texts).power(2).sum(1)).ravel())
    has_terms = [any(True for _ in terms(text or "")) for text in texts]
    assert norms == pytest.approx(np.array(has_terms, float), abs=1e-5)


def test_a_very_long_text_has_a_bounded_number_of_terms() -> None:
    long = " ".join(f"word{number}" for number in range(50_000))
    assert lexical_vectors([long, "word1"]).nnz <= 2_001
