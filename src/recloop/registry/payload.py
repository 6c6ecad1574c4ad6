"""The files of a served model, and the Recommender that they make. Nothing is unpickled."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy import sparse
from tokenizers import Tokenizer

from recloop import columns as c
from recloop.data.catalogue import Catalogue, passages, texts
from recloop.data.split import EVENTS, HISTORY, TIMES
from recloop.models.blend import Blend
from recloop.models.encoders import open_encoder
from recloop.models.item_item import Sparse
from recloop.models.query import QuerySide
from recloop.models.ranker_onnx import OnnxRanker
from recloop.models.scope import Sample
from recloop.models.sequential import open_session
from recloop.models.titles import TitleIndex
from recloop.recommender.recommender import Recommender
from recloop.recommender.reranking import Reranker
from recloop.recommender.retrieval import Retrieval
from recloop.recommender.state import Past, UserStates
from recloop.registry.card import Card, RankerCard
from recloop.registry.channels import blend_of
from recloop.registry.indexes import Indexes, build
from recloop.registry.mapped import mapped
from recloop.registry.users import HIDDEN, SEEN

CARD, ITEMS, USERS, TENSORS = "model.json", "items.parquet", "users.parquet", "tensors.safetensors"
TOWER, ENCODER, TOKENIZER = "tower.onnx", "encoder.onnx", "tokenizer.json"
RANKER_MODEL, RANKER_TOKENIZER = "ranker.onnx", "ranker-tokenizer.json"
INDEXES = "indexes"
# How a sparse matrix is stored.
_CSR, _CSR_PARTS = "neighbours.", ("data", "indices", "indptr")


@dataclass(frozen=True)
class Payload:
    """A model in memory, in the form in which it is stored.

    `factors` `(items, dim)` are those of the low-rank model; `trends` `(half-lives, items)` count
    interactions that fade until the moment of packaging.
    `search`: the items in the space of the query's encoder, where that is not the text's.
    `encoder` and `tokenizer` are there where the card says that queries are read by ONNX, `ranker` and
    `ranker_tokenizer` where it has a ranker. `indexes`: of a large catalogue, once it comes from disk.
    """

    card: Card
    items: pl.DataFrame
    users: pl.DataFrame
    vectors: NDArray[np.float32]
    text: NDArray[np.float16]
    known: NDArray[np.bool_]
    counts: NDArray[np.float32]
    collaborative: NDArray[np.float32]
    collaborative_rows: NDArray[np.int64]
    neighbours: Sparse
    neighbours_rows: NDArray[np.int64]
    factors: NDArray[np.float32]
    trends: NDArray[np.float32]
    tower: bytes
    encoder: bytes | None
    tokenizer: str | None
    search: NDArray[np.float16] | None = None
    ranker: bytes | None = None
    ranker_tokenizer: str | None = None
    indexes: Indexes | None = None

    def save(self, folder: Path) -> None:
        """Write the files into `folder`, which must be there and empty.

        For a large catalogue, the indexes are built here.
        """
        folder.joinpath(CARD).write_text(self.card.model_dump_json(indent=2))
        self.items.write_parquet(folder / ITEMS)
        self.users.write_parquet(folder / USERS)
        tensors = {
            name: np.ascontiguousarray(getattr(self, name))
            for name in (
                "vectors",
                "text",
                "known",
                "counts",
                "collaborative",
                "collaborative_rows",
                "neighbours_rows",
                "factors",
                "trends",
                "search",
            )
            if getattr(self, name) is not None
        }
        save_file(tensors | _packed(self.neighbours), folder / TENSORS)
        folder.joinpath(TOWER).write_bytes(self.tower)
        if self.encoder is not None and self.tokenizer is not None:
            folder.joinpath(ENCODER).write_bytes(self.encoder)
            folder.joinpath(TOKENIZER).write_text(self.tokenizer, encoding="utf-8")
        if self.ranker is not None and self.ranker_tokenizer is not None:
            folder.joinpath(RANKER_MODEL).write_bytes(self.ranker)
            folder.joinpath(RANKER_TOKENIZER).write_text(self.ranker_tokenizer, encoding="utf-8")
        if len(self.items) > self.card.retrieval.above:
            self._indexes().save(folder / INDEXES)

    @classmethod
    def load(cls, folder: Path) -> "Payload":
        """Read what `save` wrote. Raises OSError, ValueError where a file is missing or unfit."""
        card = Card.model_validate_json(folder.joinpath(CARD).read_bytes())
        items, onnx = pl.read_parquet(folder / ITEMS), card.query.kind == "onnx"
        large = len(items) > card.retrieval.above
        tensors = mapped(folder / TENSORS) if large else load_file(folder / TENSORS)
        words = folder / RANKER_TOKENIZER
        return cls(
            card=card,
            items=items,
            users=pl.read_parquet(folder / USERS),
            tower=folder.joinpath(TOWER).read_bytes(),
            encoder=folder.joinpath(ENCODER).read_bytes() if onnx else None,
            tokenizer=folder.joinpath(TOKENIZER).read_text(encoding="utf-8") if onnx else None,
            neighbours=_unpacked(tensors),
            ranker=folder.joinpath(RANKER_MODEL).read_bytes() if card.ranker else None,
            ranker_tokenizer=words.read_text(encoding="utf-8") if card.ranker else None,
            indexes=Indexes.view(folder / INDEXES) if large else None,
            **tensors,
        )

    def with_ranker(self, card: RankerCard, model: bytes, tokenizer: str) -> "Payload":
        """The same model with a ranker for its first places."""
        told = self.card.model_copy(update={"ranker": card})
        return replace(self, card=told, ranker=model, ranker_tokenizer=tokenizer)

    def blend(self) -> Blend:
        """The channels of this model, mixed."""
        return blend_of(self)

    def recommender(self) -> Recommender:
        """The model, ready to answer. Raises EncoderMissingError without the wheel that it needs."""
        return Recommender(
            Catalogue(self.items),
            self.blend(),
            self._query(),
            UserStates(
                self.users[c.USER].to_list(),
                [
                    Past(rows.astype(np.int64), times, events)
                    for rows, times, events in zip(
                        *(_lists(self.users[name]) for name in (HISTORY, TIMES, EVENTS)),
                        strict=True,
                    )
                ],
                [rows.astype(np.int64) for rows in _lists(self.users[SEEN])],
                self.card.feedback_until,
                [rows.astype(np.int64) for rows in _lists(self._hidden())],
            ),
            repeats=self.card.repeats,
            reranker=self._reranker(),
            retrieval=self._retrieval(),
        )

    def _query(self) -> QuerySide:
        vectors = self.text if self.search is None else self.search
        indexes = self.indexes
        return QuerySide(
            open_encoder(self.card.query, self.encoder, self.tokenizer),
            vectors if indexes else vectors.astype(np.float32),
            indexes.titles if indexes else self.items[c.TITLE].to_list(),
            self.card.query.mix,
            texts if self.search is None else passages,
            indexes.search if indexes else None,
            self.sample.rows if indexes else None,
        )

    def _retrieval(self) -> Retrieval | None:
        if self.indexes is None:
            return None
        return Retrieval(self.card.retrieval, self.sample, self.indexes.sketch)

    @cached_property
    def sample(self) -> Sample:
        """The items that stand for all of a large catalogue."""
        retrieval = self.card.retrieval
        return Sample.draw(self.known, retrieval.sample, retrieval.seed)

    def _indexes(self) -> Indexes:
        titles = TitleIndex(self.items[c.TITLE].to_list())
        sample = self.sample.rows
        return build(self.vectors, self.factors, self.text, self.search, titles, self.known, sample)

    def _hidden(self) -> pl.Series:
        """Rows that each user has hidden; none in models packaged before these were told apart."""
        if HIDDEN in self.users.columns:
            return self.users[HIDDEN]
        return pl.Series([[]] * len(self.users), dtype=pl.List(pl.Int32))

    def _reranker(self) -> Reranker | None:
        card = self.card.ranker
        if card is None or self.ranker is None or self.ranker_tokenizer is None:
            return None
        words = Tokenizer.from_str(self.ranker_tokenizer)
        ranker = OnnxRanker(open_session(self.ranker), words, card.shown, card.max_tokens)
        titles = self.items[c.TITLE].to_list()
        return Reranker(ranker, card.weight, card.depth, titles, texts(self.items))


def _packed(matrix: Sparse) -> dict[str, NDArray[Any]]:
    return {f"{_CSR}{name}": getattr(matrix, name) for name in _CSR_PARTS}


def _unpacked(tensors: dict[str, NDArray[Any]]) -> Sparse:
    """The matrix, whose parts leave `tensors`."""
    data, indices, indptr = (tensors.pop(f"{_CSR}{name}") for name in _CSR_PARTS)
    items = len(tensors["neighbours_rows"])
    return sparse.csr_matrix((data, indices, indptr), shape=(items, items))


def _lists(column: pl.Series) -> Sequence[NDArray[Any]]:
    lengths = column.list.len().to_numpy()
    flat = column.explode(empty_as_null=False).to_numpy()
    return np.split(flat, np.cumsum(lengths)[:-1]) if len(column) else []
