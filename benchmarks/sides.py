"""The encoders that `queries.py` compares, each with the items as it sees them."""

from functools import cache
from pathlib import Path

import numpy as np

from recloop import columns as c
from recloop.data.catalogue import Catalogue
from recloop.registry.payload import Payload
from recloop.scoring.query.matcher import Encoder, QueryConfig, QueryMatcher, QueryWeights
from recloop.scoring.query.open_encoder import open_encoder
from recloop.training.export.query_export import export_frozen_query


class Cached:
    """An encoder that reads each query once."""

    def __init__(self, inner: Encoder) -> None:
        self.inner = inner
        self.encode_query = cache(inner.encode_query)


class Side:
    """An encoder and the items' vectors `(items, width)`."""

    def __init__(self, encoder: Encoder, vectors: np.ndarray, titles: list[str]) -> None:
        self.encoder = Cached(encoder)
        self.vectors = vectors.astype(np.float32)
        self.with_mix = cache(self._with_mix)
        self._titles = titles

    def _with_mix(self, reach: float) -> QueryMatcher:
        return QueryMatcher(
            self.encoder, self.vectors, self._titles, QueryWeights(history_weight_limit=reach)
        )


def frozen(name: str, catalogue: Catalogue) -> Side:
    """An encoder as it comes, as the export stage packages it."""
    files = export_frozen_query(QueryConfig(encoder=name), catalogue)
    if files.vectors is None:
        raise ValueError(f"{name} gave no vectors")
    encoder = open_encoder(files.config, files.encoder, files.tokenizer)
    return Side(encoder, files.vectors, catalogue.items[c.TITLE].to_list())


def tuned(model: Path, catalogue: Catalogue) -> Side:
    """The fine-tuned encoder of a packaged model."""
    payload = Payload.load(model)
    places = Catalogue(payload.items).rows(catalogue.ids)
    if len(places) != len(catalogue):
        raise ValueError(f"{model} lacks items of the benchmark")
    encoder = open_encoder(payload.card.query, payload.encoder, payload.tokenizer)
    return Side(encoder, payload.text[places], catalogue.items[c.TITLE].to_list())
