"""One behaviour and its candidates as one sequence of tokens."""

import numpy as np
import tiny
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from recloop.models.pairs import Reader, lay_out, pair_frame, question_frame

IDS = st.lists(st.integers(5, 99), min_size=1, max_size=6)


def words() -> Tokenizer:
    return Tokenizer.from_str(tiny.tokenizer())


def test_candidates_follow_the_behaviour_and_each_begins_where_it_ends() -> None:
    sheet = lay_out([7, 8], [[1], [2, 3, 4]])
    assert sheet.tokens.tolist() == [7, 8, 1, 2, 3, 4]
    assert sheet.segments.tolist() == [0, 0, 1, 2, 2, 2]
    assert sheet.places.tolist() == [0, 1, 2, 2, 3, 4]
    assert sheet.ends.tolist() == [2, 5]


@given(IDS, st.lists(IDS, min_size=1, max_size=5))
def test_a_candidate_with_its_behaviour_is_laid_out_as_if_it_were_alone(behaviour, offered) -> None:
    sheet = lay_out(behaviour, offered)
    for number, candidate in enumerate(offered, 1):
        own = np.isin(sheet.segments, [0, number])
        assert sheet.tokens[own].tolist() == behaviour + candidate
        assert sheet.places[own].tolist() == list(range(own.sum()))
        assert sheet.segments[sheet.ends[number - 1]] == number


def test_a_pair_is_framed_as_its_tokenizer_does() -> None:
    """BERT: a start, and an end after each text."""
    read = words()
    read.no_padding()
    start, end = (read.token_to_id(name) for name in ("[CLS]", "[SEP]"))
    frame = pair_frame(read)
    assert (frame.before, frame.between, frame.after) == ([start], [end], [end])
    assert read.decode(question_frame(read, []).after).endswith("answer :")


@given(st.integers(4, 40), st.integers(1, 50), st.integers(1, 50))
def test_a_candidate_gets_a_third_and_the_behaviour_the_rest(room, told, offered) -> None:
    """Beside the three tokens of BERT's frame; whatever the other candidates are."""
    reader = Reader(words(), room + 3)
    sheet = reader.sheet("film " * told, ["film " * offered, "film"])
    assert (sheet.segments == 0).sum() == min(told, room - room // 3) + 2
    assert (sheet.segments == 1).sum() == min(offered, room // 3) + 1
    assert (sheet.segments == 2).sum() == 2
