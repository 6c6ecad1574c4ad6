"""Tests of packing one behaviour and its candidates into one sequence of tokens."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from recloop.scoring.ranker.packing import (
    PairTokenizer,
    pack_sequence,
    pair_template,
    question_template,
)
from tests.support import tiny_model

IDS = st.lists(st.integers(5, 99), min_size=1, max_size=6)


def words() -> Tokenizer:
    return Tokenizer.from_str(tiny_model.tokenizer())


def test_candidates_follow_the_behaviour_and_each_begins_where_it_ends() -> None:
    sheet = pack_sequence([7, 8], [[1], [2, 3, 4]])
    assert sheet.tokens.tolist() == [7, 8, 1, 2, 3, 4]
    assert sheet.segments.tolist() == [0, 0, 1, 2, 2, 2]
    assert sheet.position_ids.tolist() == [0, 1, 2, 2, 3, 4]
    assert sheet.pool_positions.tolist() == [2, 5]


@given(IDS, st.lists(IDS, min_size=1, max_size=5))
def test_a_candidate_with_its_behaviour_is_laid_out_as_if_it_were_alone(behaviour, offered) -> None:
    sheet = pack_sequence(behaviour, offered)
    for number, candidate in enumerate(offered, 1):
        own = np.isin(sheet.segments, [0, number])
        assert sheet.tokens[own].tolist() == behaviour + candidate
        assert sheet.position_ids[own].tolist() == list(range(own.sum()))
        assert sheet.segments[sheet.pool_positions[number - 1]] == number


def test_a_pair_is_framed_as_its_tokenizer_does() -> None:
    """BERT puts one token before the texts and one after each."""
    read = words()
    read.no_padding()
    start, end = (read.token_to_id(name) for name in ("[CLS]", "[SEP]"))
    frame = pair_template(read)
    assert (frame.before, frame.between, frame.after) == ([start], [end], [end])
    assert read.decode(question_template(read, []).after).endswith("answer :")


@given(st.integers(4, 40), st.integers(1, 50), st.integers(1, 50))
def test_a_candidate_gets_a_third_and_the_behaviour_the_rest(room, history_length, offered) -> None:
    """The shares exclude the three tokens of BERT's frame and do not depend on other candidates."""
    reader = PairTokenizer(words(), room + 3)
    sheet = reader.pack("film " * history_length, ["film " * offered, "film"])
    assert (sheet.segments == 0).sum() == min(history_length, room - room // 3) + 2
    assert (sheet.segments == 1).sum() == min(offered, room // 3) + 1
    assert (sheet.segments == 2).sum() == 2
