"""The encoders that `queries.py` compares, each with the items as it sees them."""

from functools import cache
from pathlib import Path

import numpy as np

from recloop import columns as c
from recloop.data.catalogue import Catalogue
from recloop.models.encoders import open_encoder
from recloop.models.query import Encoder, QueryConfig, QueryMix, QuerySide
from recloop.registry.payload import Payload
from recloop.training.queryside import frozen_query


class Cached:
    """An encoder that reads each query once."""

    def __init__(self, inner: Encoder) -> None:
        self.inner = inner
        self.encode = cache(inner.encode)


class Side:
    """An encoder and the items' vectors `(items, width)`."""

    def __init__(self, encoder: Encoder, vectors: np.ndarray, titles: list[str]) -> None:
        self.encoder = Cached(encoder)
        self.vectors = vectors.astype(np.float32)
        self.with_mix = cache(self._with_mix)
        self._titles = titles

    def _with_mix(self, reach: float) -> QuerySide:
        return QuerySide(self.encoder, self.vectors, self._titles, QueryMix(reach=reach))


def frozen(name: str, catalogue: Catalogue) -> Side:
    """An encoder as it comes, as the export stage packages it."""
    files = frozen_query(QueryConfig(encoder=name), catalogue)
    if files.vectors is None:
        raise ValueError(f"{name} gave no vectors")
    encoder = open_encoder(files.card, files.encoder, files.tokenizer)
    return Side(encoder, files.vectors, catalogue.items[c.TITLE].to_list())


def tuned(model: Path, catalogue: Catalogue) -> Side:
    """The fine-tuned encoder of a packaged model."""
    payload = Payload.load(model)
    places = Catalogue(payload.items).rows(catalogue.ids)
    if len(places) != len(catalogue):
        raise ValueError(f"{model} lacks items of the benchmark")
    encoder = open_encoder(payload.card.query, payload.encoder, payload.tokenizer)
    return Side(encoder, payload.text[places], catalogue.items[c.TITLE].to_list())
