"""What a cross-encoder reads: a person's behaviour and one candidate, as text.

The same words in training and in serving; no torch here.
"""

from collections.abc import Sequence

QUESTION = "\nWould this person engage with it? Answer Yes or No.\nAnswer:"
_BEHAVIOUR, _CANDIDATE = "Behaviour, newest first: ", "\nCandidate: "


def behaviour_text(items: Sequence[str], query: str | None, shown: int) -> str:
    """The query if there is one, then the last `shown` of `items` (oldest first), newest first.

    What is cut when the text is too long is its end: the oldest.
    """
    newest = " ; ".join(reversed(items[max(0, len(items) - shown) :]))
    return f"{query} | {newest}" if query else newest


def prompt_parts(behaviour: str, candidate: str) -> tuple[str, str, str]:
    """The parts of a prompt for a decoder; the third one, the question, is never cut."""
    return _BEHAVIOUR + behaviour, _CANDIDATE + candidate, QUESTION
