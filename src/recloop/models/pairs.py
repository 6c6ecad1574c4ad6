"""What a cross-encoder reads: a person's behaviour once, and the candidates beside it.

The same tokens in training and in serving; no torch here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

Tokens = NDArray[np.int64]

QUESTION = "\nWould this person engage with it? Answer Yes or No.\nAnswer:"
_BEHAVIOUR, _CANDIDATE = "Behaviour, newest first: ", "\nCandidate: "
# Of the tokens that a pair may have, the candidate gets one in so many, the behaviour the others.
_SHARE = 3


def behaviour_text(items: Sequence[str], query: str | None, shown: int) -> str:
    """The query if there is one, then the last `shown` of `items` (oldest first), newest first.

    What is cut when the text is too long is its end: the oldest.
    """
    newest = " ; ".join(reversed(items[max(0, len(items) - shown) :]))
    return f"{query} | {newest}" if query else newest


class Sheet(NamedTuple):
    """One behaviour and its candidates as one sequence: the behaviour, then candidate after candidate.

    `tokens`, `segments`, `places` `(length,)`: of each token its id, whose it is (0: the behaviour's,
    n: the nth candidate's), and where it would stand if its candidate were the only one.
    `ends` `(candidates,)`: where the last token of each candidate is, at which it is judged.
    """

    tokens: Tokens
    segments: Tokens
    places: Tokens
    ends: Tokens


def lay_out(behaviour: Sequence[int], candidates: Sequence[Sequence[int]]) -> Sheet:
    """Token ids as a sheet; no candidate is empty."""
    lengths = np.array([len(behaviour), *map(len, candidates)])
    after = np.cumsum(lengths)
    segments = np.repeat(np.arange(len(lengths)), lengths)
    within = np.arange(after[-1]) - (after - lengths)[segments]
    return Sheet(
        np.concatenate([behaviour, *candidates]).astype(np.int64),
        segments,
        within + np.where(segments > 0, len(behaviour), 0),
        after[1:] - 1,
    )


@dataclass(frozen=True)
class Frame:
    """What stands around two texts: tokens before, between and after them, and words in front of each."""

    before: list[int]
    between: list[int]
    after: list[int]
    told: str = ""
    offered: str = ""

    def __len__(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)


def pair_frame(words: Tokenizer) -> Frame:
    """The tokenizer's own frame of a pair of texts.

    Raises:
        ValueError: nothing ends the pair, as with the tokenizer of a decoder.
    """
    pair = words.encode("a", "b")
    whose: list[int | None] = pair.sequence_ids
    start, end = whose.index(0), len(whose) - whose[::-1].index(1)
    if end == len(whose):
        raise ValueError(
            "the tokenizer ends no pair of texts: a decoder is asked in the form yes-no"
        )
    between = [place for place in range(start, end) if whose[place] is None]
    return Frame(pair.ids[:start], [pair.ids[place] for place in between], pair.ids[end:])


def question_frame(words: Tokenizer, before: list[int]) -> Frame:
    """A prompt for a decoder, which ends each candidate with a question."""
    question = words.encode(QUESTION, add_special_tokens=False).ids
    return Frame(before, [], question, _BEHAVIOUR, _CANDIDATE)


class Reader:
    """Texts to sheets. A behaviour with one of its candidates has at most `max_tokens` tokens.

    Each text is cut at its end to its own share of them, whatever the others are.
    """

    def __init__(
        self,
        words: Tokenizer,
        max_tokens: int,
        framed: Callable[[Tokenizer], Frame] = pair_frame,
    ) -> None:
        words.no_padding()
        words.no_truncation()
        self._words = words
        self.frame = framed(words)
        room = max(0, max_tokens - len(self.frame))
        self._offered = room // _SHARE
        self._told = room - self._offered

    def sheet(self, behaviour: str, candidates: Sequence[str]) -> Sheet:
        """What is read of a person, beside each of these."""
        frame = self.frame
        texts = [frame.told + behaviour, *(frame.offered + each for each in candidates)]
        read = self._words.encode_batch(texts, add_special_tokens=False)
        told, *offered = [encoding.ids for encoding in read]
        return lay_out(
            frame.before + told[: self._told] + frame.between,
            [each[: self._offered] + frame.after for each in offered],
        )
