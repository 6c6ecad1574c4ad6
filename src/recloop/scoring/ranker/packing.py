"""Packing of cross-encoder inputs: the user's behaviour once, then all candidates.

Training and serving use the same functions, so both read the same tokens. No torch here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

Tokens = NDArray[np.int64]
# An encoder with a classification head, or a decoder that answers a question with yes or no.
RankerForm = Literal["classification", "yes-no"]

QUESTION = "\nWould this person engage with it? Answer Yes or No.\nAnswer:"
_BEHAVIOUR, _CANDIDATE = "Behaviour, newest first: ", "\nCandidate: "
# The candidate gets a third of the tokens of a pair, the behaviour the rest.
_CANDIDATE_SHARE = 3


def behaviour_text(items: Sequence[str], query: str | None, max_items: int) -> str:
    """Return the user's behaviour as one text: the query, if any, then the newest items.

    The newest item comes first, so that truncation removes the oldest ones.

    Args:
        items: Texts of the items of the history, oldest first.
        query: The search query.
        max_items: Largest number of items.

    >>> behaviour_text(["Alien", "Heat", "Up"], "films", max_items=2)
    'films | Up ; Heat'
    """
    newest = " ; ".join(reversed(items[max(0, len(items) - max_items) :]))
    return f"{query} | {newest}" if query else newest


class PackedSequence(NamedTuple):
    """One behaviour followed by all of its candidates, as one token sequence.

    Attributes:
        tokens: Token ids, `(length,)`, int64.
        segments: 0 for tokens of the behaviour, n for tokens of the nth candidate, `(length,)`.
        position_ids: Position of each token as if its candidate were the only one, `(length,)`.
        pool_positions: Position of the last token of each candidate, at which its logit is read,
            `(candidates,)`.
    """

    tokens: Tokens
    segments: Tokens
    position_ids: Tokens
    pool_positions: Tokens


def pack_sequence(behaviour: Sequence[int], candidates: Sequence[Sequence[int]]) -> PackedSequence:
    """Return token ids packed into one sequence.

    Args:
        behaviour: Token ids of the behaviour.
        candidates: Token ids of each candidate; none may be empty.

    >>> pack_sequence([5, 6], [[7], [8, 9]])._asdict()["position_ids"].tolist()
    [0, 1, 2, 2, 3]

    Reference:
        Miao et al. 2024, "SpecInfer" (tree attention).
    """
    lengths = np.array([len(behaviour), *map(len, candidates)])
    after = np.cumsum(lengths)
    segments = np.repeat(np.arange(len(lengths)), lengths)
    within = np.arange(after[-1]) - (after - lengths)[segments]
    return PackedSequence(
        np.concatenate([behaviour, *candidates]).astype(np.int64),
        segments,
        within + np.where(segments > 0, len(behaviour), 0),
        after[1:] - 1,
    )


@dataclass(frozen=True)
class PromptTemplate:
    """Tokens before, between and after the two texts of a pair, and a prefix of each text."""

    before: list[int]
    between: list[int]
    after: list[int]
    behaviour_prefix: str = ""
    candidate_prefix: str = ""

    def __len__(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)


def pair_template(tokenizer: Tokenizer) -> PromptTemplate:
    """Return the tokenizer's own template of a pair of texts, such as `[CLS] a [SEP] b [SEP]`.

    Raises:
        ValueError: The tokenizer adds no token after a pair, as those of decoders.
    """
    pair = tokenizer.encode("a", "b")
    text_numbers: list[int | None] = pair.sequence_ids
    start, end = text_numbers.index(0), len(text_numbers) - text_numbers[::-1].index(1)
    if end == len(text_numbers):
        raise ValueError(
            "the tokenizer adds no token after a pair of texts, as those of decoders;"
            " set ranker.form to yes-no"
        )
    between = [
        pair.ids[position] for position in range(start, end) if text_numbers[position] is None
    ]
    return PromptTemplate(pair.ids[:start], between, pair.ids[end:])


def question_template(tokenizer: Tokenizer, before: Sequence[int]) -> PromptTemplate:
    """Return the template for decoders, in which a question follows each candidate.

    Args:
        tokenizer: Tokenizer of the decoder.
        before: Token ids at the start of the sequence.
    """
    question = tokenizer.encode(QUESTION, add_special_tokens=False).ids
    return PromptTemplate(list(before), [], question, _BEHAVIOUR, _CANDIDATE)


class PairTokenizer:
    """Tokenises a behaviour with its candidates into one packed sequence.

    Each text is cut at its end to its own share of the tokens, regardless of the other texts.

    Args:
        tokenizer: Tokenizer of the base model. Padding and truncation are switched off.
        max_tokens: Largest number of tokens of a behaviour with one of its candidates.
        form: Form of the ranker; decoders read a question after each candidate.
        start_tokens: Token ids at the start of a sequence, for the form `yes-no`; the others take
            those of the tokenizer.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        max_tokens: int,
        form: RankerForm = "classification",
        start_tokens: Sequence[int] = (),
    ) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer
        self.template = (
            question_template(tokenizer, start_tokens)
            if form == "yes-no"
            else pair_template(tokenizer)
        )
        text_tokens = max(0, max_tokens - len(self.template))
        self._candidate_tokens = text_tokens // _CANDIDATE_SHARE
        self._behaviour_tokens = text_tokens - self._candidate_tokens

    def pack(self, behaviour: str, candidates: Sequence[str]) -> PackedSequence:
        """Return the tokens of a behaviour and its candidates as one sequence."""
        template = self.template
        texts = [
            template.behaviour_prefix + behaviour,
            *(template.candidate_prefix + candidate for candidate in candidates),
        ]
        encodings = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        behaviour_ids, *candidate_ids = [encoding.ids for encoding in encodings]
        return pack_sequence(
            template.before + behaviour_ids[: self._behaviour_tokens] + template.between,
            [ids[: self._candidate_tokens] + template.after for ids in candidate_ids],
        )
