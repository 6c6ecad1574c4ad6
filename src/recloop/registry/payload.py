"""Files of a packaged model, and the recommender that is built from them. No file is a pickle."""

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
from recloop.data.catalogue import Catalogue, item_passages, item_texts
from recloop.data.split import EVENTS, HISTORY, TIMES
from recloop.recommender.history import InteractionHistory, PackagedHistories
from recloop.recommender.recommender import Recommender
from recloop.recommender.reranking import Reranker
from recloop.recommender.retrieval import CandidateRetrieval
from recloop.registry.mmap_tensors import mmap_tensors
from recloop.registry.model_config import (
    CONFIG,
    ModelConfig,
    PackagedRankerConfig,
    read_model_config,
)
from recloop.registry.stored_channels import blend_of
from recloop.registry.stored_indexes import Indexes, build
from recloop.registry.user_table import HIDDEN, SEEN
from recloop.scoring.blend import Blend
from recloop.scoring.candidate_set import ReferenceSample
from recloop.scoring.channels.item_item import Sparse, no_links
from recloop.scoring.onnx_session import open_session
from recloop.scoring.query.matcher import QueryMatcher
from recloop.scoring.query.open_encoder import open_encoder
from recloop.scoring.query.title_index import TitleIndex
from recloop.scoring.ranker.onnx_ranker import OnnxRanker

ITEMS, USERS, TENSORS = "items.parquet", "users.parquet", "tensors.safetensors"
TOWER, ENCODER, TOKENIZER = "tower.onnx", "encoder.onnx", "tokenizer.json"
RANKER_MODEL, RANKER_TOKENIZER = "ranker.onnx", "ranker-tokenizer.json"
INDEXES = "indexes"
# Name of the tensor that says which items are warm.
_WARM = "warm"
# Names of the tensors of sparse matrices in CSR form.
_ITEM_KNN, _WORDS, _CSR_PARTS = "item_knn.", "words.", ("data", "indices", "indptr")


@dataclass(frozen=True)
class Payload:
    """A model in memory, in the form in which it is stored.

    Attributes:
        config: Settings of the model.
        items: Items of the catalogue.
        users: Histories of the users, from `user_table`.
        vectors: Item vectors of the sequence model, shape `(items, dim)`.
        text: Whitened text vectors of the items, shape `(items, text_dim)`.
        warm: Whether the training data have the item, shape `(items,)`.
        counts: Interactions of each item, shape `(items,)`.
        ease: EASE weights, shape `(rows, rows)`.
        ease_rows: Rows of the catalogue that `ease` covers, shape `(rows,)`.
        item_knn: Item-item similarities of ItemKNN, in the order of `item_knn_rows`.
        item_knn_rows: Rows of the catalogue that `item_knn` covers.
        words: Similarities of the items' words, `(items, items)`; empty in models of format 3.
        ials_factors: Item factors of iALS, shape `(items, factors)`.
        recent_counts: Interactions that decay until the time of packaging, shape
            `(half-lives, items)`.
        tower: ONNX file of the sequence model.
        encoder: ONNX file of the query encoder, if the model has one.
        tokenizer: Tokenizer of `encoder`.
        search: Item vectors in the space of the query encoder, shape `(items, search_dim)`. None:
            `text`.
        ranker: ONNX file of the ranker, if the model has one.
        ranker_tokenizer: Tokenizer of `ranker`.
        indexes: Indexes of a large catalogue; only after `load`.
    """

    config: ModelConfig
    items: pl.DataFrame
    users: pl.DataFrame
    vectors: NDArray[np.float32]
    text: NDArray[np.float16]
    warm: NDArray[np.bool_]
    counts: NDArray[np.float32]
    ease: NDArray[np.float32]
    ease_rows: NDArray[np.int64]
    item_knn: Sparse
    item_knn_rows: NDArray[np.int64]
    words: Sparse
    ials_factors: NDArray[np.float32]
    recent_counts: NDArray[np.float32]
    tower: bytes
    encoder: bytes | None
    tokenizer: str | None
    search: NDArray[np.float16] | None = None
    ranker: bytes | None = None
    ranker_tokenizer: str | None = None
    indexes: Indexes | None = None

    def save(self, folder: Path) -> None:
        """Write the files into an empty folder. For a large catalogue, this builds the indexes."""
        folder.joinpath(CONFIG).write_text(self.config.model_dump_json(indent=2))
        self.items.write_parquet(folder / ITEMS)
        self.users.write_parquet(folder / USERS)
        tensors = {
            name: np.ascontiguousarray(getattr(self, name))
            for name in (
                "vectors",
                "text",
                "counts",
                "ease",
                "ease_rows",
                "item_knn_rows",
                "ials_factors",
                "recent_counts",
                "search",
            )
            if getattr(self, name) is not None
        }
        tensors |= {_WARM: self.warm}
        tensors |= _packed(self.item_knn, _ITEM_KNN) | _packed(self.words, _WORDS)
        save_file(tensors, folder / TENSORS)
        folder.joinpath(TOWER).write_bytes(self.tower)
        if self.encoder is not None and self.tokenizer is not None:
            folder.joinpath(ENCODER).write_bytes(self.encoder)
            folder.joinpath(TOKENIZER).write_text(self.tokenizer, encoding="utf-8")
        if self.ranker is not None and self.ranker_tokenizer is not None:
            folder.joinpath(RANKER_MODEL).write_bytes(self.ranker)
            folder.joinpath(RANKER_TOKENIZER).write_text(self.ranker_tokenizer, encoding="utf-8")
        if len(self.items) > self.config.retrieval.min_catalogue:
            self._indexes().save(folder / INDEXES)

    @classmethod
    def load(cls, folder: Path) -> "Payload":
        """Read the files that `save` wrote.

        Raises:
            ModelFormatError: The package has another format than this version reads.
            OSError: A file is missing.
            ValueError: A file is not valid.
        """
        config = read_model_config(folder)
        items, onnx = pl.read_parquet(folder / ITEMS), config.query.kind == "onnx"
        large = len(items) > config.retrieval.min_catalogue
        tensors = mmap_tensors(folder / TENSORS) if large else load_file(folder / TENSORS)
        words = folder / RANKER_TOKENIZER
        return cls(
            config=config,
            items=items,
            users=pl.read_parquet(folder / USERS),
            tower=folder.joinpath(TOWER).read_bytes(),
            encoder=folder.joinpath(ENCODER).read_bytes() if onnx else None,
            tokenizer=folder.joinpath(TOKENIZER).read_text(encoding="utf-8") if onnx else None,
            warm=tensors.pop(_WARM),
            item_knn=_unpacked(tensors, _ITEM_KNN, len(tensors["item_knn_rows"])),
            words=_unpacked(tensors, _WORDS, len(items)),
            ranker=folder.joinpath(RANKER_MODEL).read_bytes() if config.ranker else None,
            ranker_tokenizer=words.read_text(encoding="utf-8") if config.ranker else None,
            indexes=Indexes.view(folder / INDEXES) if large else None,
            **tensors,
        )

    def with_ranker(self, ranker: PackagedRankerConfig, model: bytes, tokenizer: str) -> "Payload":
        """Return the model with a ranker, which re-ranks the first items of each list."""
        config = self.config.model_copy(update={"ranker": ranker})
        return replace(self, config=config, ranker=model, ranker_tokenizer=tokenizer)

    def blend(self) -> Blend:
        """Return the blend of the model's channels."""
        return blend_of(self)

    def recommender(self) -> Recommender:
        """Build the recommender.

        Raises:
            EncoderMissingError: The package of the model's query encoder is not installed.
        """
        return Recommender(
            Catalogue(self.items),
            self.blend(),
            self._query(),
            PackagedHistories(
                self.users[c.USER].to_list(),
                [
                    InteractionHistory(rows.astype(np.int64), times, events)
                    for rows, times, events in zip(
                        *(_lists(self.users[name]) for name in (HISTORY, TIMES, EVENTS)),
                        strict=True,
                    )
                ],
                [rows.astype(np.int64) for rows in _lists(self.users[SEEN])],
                self.config.feedback_until,
                [rows.astype(np.int64) for rows in _lists(self._hidden())],
            ),
            repeats=self.config.repeats,
            reranker=self._reranker(),
            retrieval=self._retrieval(),
        )

    def _query(self) -> QueryMatcher:
        vectors = self.text if self.search is None else self.search
        indexes = self.indexes
        reads_texts = self.config.query.reads_texts or self.search is None
        return QueryMatcher(
            open_encoder(self.config.query, self.encoder, self.tokenizer),
            vectors if indexes else vectors.astype(np.float32),
            indexes.titles if indexes else self.items[c.TITLE].to_list(),
            self.config.query.weights,
            item_texts if reads_texts else item_passages,
            indexes.search if indexes else None,
            self.sample.rows if indexes else None,
        )

    def _retrieval(self) -> CandidateRetrieval | None:
        if self.indexes is None:
            return None
        return CandidateRetrieval(self.config.retrieval, self.sample, self.indexes.sketch)

    @cached_property
    def sample(self) -> ReferenceSample:
        """Return the reference sample, which stands for all items of a large catalogue."""
        retrieval = self.config.retrieval
        return ReferenceSample.draw(self.warm, retrieval.sample, retrieval.seed)

    def _indexes(self) -> Indexes:
        titles = TitleIndex(self.items[c.TITLE].to_list())
        sample = self.sample.rows
        return build(
            self.vectors, self.ials_factors, self.text, self.search, titles, self.warm, sample
        )

    def _hidden(self) -> pl.Series:
        """Return a list of the hidden items' rows for each user; empty lists in old models."""
        if HIDDEN in self.users.columns:
            return self.users[HIDDEN]
        return pl.Series([[]] * len(self.users), dtype=pl.List(pl.Int32))

    def _reranker(self) -> Reranker | None:
        config = self.config.ranker
        if config is None or self.ranker is None or self.ranker_tokenizer is None:
            return None
        words = Tokenizer.from_str(self.ranker_tokenizer)
        ranker = OnnxRanker(
            open_session(self.ranker),
            words,
            config.history_length,
            config.max_tokens,
            config.form,
            config.start_tokens,
        )
        titles = self.items[c.TITLE].to_list()
        return Reranker(ranker, config.weight, config.depth, titles, item_texts(self.items))


def _packed(matrix: Sparse, prefix: str) -> dict[str, NDArray[Any]]:
    return {f"{prefix}{name}": getattr(matrix, name) for name in _CSR_PARTS}


def _unpacked(tensors: dict[str, NDArray[Any]], prefix: str, rows: int) -> Sparse:
    """Build a sparse matrix `(rows, rows)`, and remove its parts from `tensors`.

    It is empty if there are no such tensors.
    """
    if f"{prefix}data" not in tensors:
        return no_links(rows)
    data, indices, indptr = (tensors.pop(f"{prefix}{name}") for name in _CSR_PARTS)
    return sparse.csr_matrix((data, indices, indptr), shape=(rows, rows))


def _lists(column: pl.Series) -> Sequence[NDArray[Any]]:
    lengths = column.list.len().to_numpy()
    flat = column.explode(empty_as_null=False).to_numpy()
    return np.split(flat, np.cumsum(lengths)[:-1]) if len(column) else []
