"""Query encoders that `benchmarks.queries` compares, each with its vectors of the items."""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recloop import columns as c
from recloop.data.catalogue import Catalogue
from recloop.registry.payload import Payload
from recloop.scoring.query.matcher import Encoder, QueryConfig, QueryMatcher, QueryWeights
from recloop.scoring.query.open_encoder import open_encoder
from recloop.training.export.query_export import export_frozen_query


class CachedEncoder:
    """Encoder that encodes each query once; `inner` does not cache."""

    def __init__(self, inner: Encoder) -> None:
        self.inner = inner
        self.encode_query = cache(inner.encode_query)
        self.encode_passage = inner.encode_passage


class EncodedItems:
    """Encoder, and its vectors of the items, `(items, width)`."""

    def __init__(self, encoder: Encoder, vectors: NDArray[np.floating], titles: list[str]) -> None:
        self.encoder = CachedEncoder(encoder)
        self.vectors = vectors.astype(np.float32)
        self.matcher = cache(self._matcher)
        self._titles = titles

    def _matcher(self, history_weight_limit: float) -> QueryMatcher:
        weights = QueryWeights(history_weight_limit=history_weight_limit)
        return QueryMatcher(self.encoder, self.vectors, self._titles, weights)


def frozen_encoder(name: str, catalogue: Catalogue) -> EncodedItems:
    """Return a pre-trained encoder that is not fine-tuned, as the export stage packages it."""
    files = export_frozen_query(QueryConfig(encoder=name), catalogue)
    if files.vectors is None:
        raise ValueError(f"{name} gave no vectors")
    encoder = open_encoder(files.config, files.encoder, files.tokenizer)
    return EncodedItems(encoder, files.vectors, catalogue.items[c.TITLE].to_list())


def tuned_encoder(model: Path, catalogue: Catalogue) -> EncodedItems:
    """Return the fine-tuned encoder of a packaged model."""
    payload = Payload.load(model)
    rows = Catalogue(payload.items).rows(catalogue.ids)
    if len(rows) != len(catalogue):
        raise ValueError(f"{model} lacks items of the benchmark")
    encoder = open_encoder(payload.config.query, payload.encoder, payload.tokenizer)
    return EncodedItems(encoder, payload.text[rows], catalogue.items[c.TITLE].to_list())
