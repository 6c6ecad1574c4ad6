"""Int8 models give the same results with and without VNNI, and stay close to float32."""

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import Tokenizer

from recloop.scoring.onnx_session import open_session
from recloop.scoring.query.onnx_encoder import OnnxEncoder
from recloop.scoring.ranker.onnx_ranker import OnnxRanker
from recloop.training.base_models import TextConfig, resolve_base
from recloop.training.device import Compute
from recloop.training.export.onnx_export import export_encoder, quantise
from recloop.training.export.ranker_export import export_ranker
from recloop.training.modules.cross_encoder import RankerConfig
from recloop.training.modules.text_encoder import TokenizedTexts, encode_all, load_encoder
from recloop.training.ranker import Ranker
from tests.support import tiny_model
from tests.support.int8 import (
    LARGEST,
    assert_exact_in_16_bits,
    integer_weights,
    largest_pair,
    product_without_vnni,
)

CPU = Compute(torch.device("cpu"), bf16=False)
ADJECTIVES = ("The Silent", "A Lost", "Return of the", "Midnight in the", "The Last")
NOUNS = ("Samurai", "Garden", "Detective", "Planet", "Kitchen", "Orchestra", "Harbour", "Circus")
GENRES = ("Drama", "Comedy, Romance", "Science fiction, Thriller", "Western", "Documentary")
TITLES = [
    f"{adjective} {noun} ({1950 + 7 * n + 3 * m}). {GENRES[(n + m) % len(GENRES)]}"
    for m, adjective in enumerate(ADJECTIVES)
    for n, noun in enumerate(NOUNS)
]

# Two activations of 1 are 255 as 8-bit numbers, and two weights of 1 are 127, or 64 in the reduced
# range: the sum of the two products is 2 · 255 · 127 = 64,770 or 2 · 255 · 64 = 32,640.
ACTIVATIONS = np.array([[1, 1], [0, 1]], np.float32)
WEIGHTS = np.array([[1], [1]], np.float32)


@pytest.fixture(scope="module")
def product() -> bytes:
    """Return an ONNX model of one float32 matrix product, `activations` times `WEIGHTS`."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["activations", "weights"], ["sums"])],
        "product",
        [helper.make_tensor_value_info("activations", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("sums", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(WEIGHTS, "weights")],
    )
    opsets = [helper.make_opsetid("", 20)]
    model: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    return model


@pytest.fixture(scope="module")
def full_range(product, tmp_path_factory) -> bytes:
    """Return the same product in int8 with weights up to 127."""
    target = tmp_path_factory.mktemp("int8") / "model.onnx"
    model = onnx.load_from_string(product)
    quantize_dynamic(model, target, weight_type=QuantType.QInt8, per_channel=True)
    return target.read_bytes()


def test_weights_of_the_full_range_are_clipped_without_vnni(full_range) -> None:
    (weights,) = integer_weights(full_range)
    assert weights.tolist() == [[127], [127]]
    assert largest_pair(weights) == 64_770 > LARGEST
    activations = np.array([[255, 255], [0, 255]], np.uint8)
    assert product_without_vnni(activations, weights).tolist() == [[32_767], [32_385]]


def test_weights_of_the_reduced_range_are_not(product) -> None:
    (weights,) = integer_weights(quantise(product))
    assert weights.tolist() == [[64], [64]]
    assert largest_pair(weights) == 32_640 <= LARGEST
    activations = np.array([[255, 255], [0, 255]], np.uint8)
    assert product_without_vnni(activations, weights).tolist() == [[32_640], [16_320]]


def test_a_session_adds_up_exactly_on_this_processor(product) -> None:
    """With weights of the full range, the first sum is 1.01 on a processor without VNNI."""
    (sums,) = open_session(quantise(product)).run(None, {"activations": ACTIVATIONS})
    np.testing.assert_allclose(sums, [[2], [1]], rtol=1e-5)


@pytest.mark.slow
def test_the_frozen_encoder_in_int8_agrees_with_float32() -> None:
    config = TextConfig(base="minilm", tuning="frozen", max_tokens=32)
    encoder, tokenizer = load_encoder(resolve_base(config.base), config)
    expected = encode_all(encoder, TokenizedTexts(TITLES, tokenizer, config), CPU).numpy()
    model = export_encoder(encoder)
    assert_exact_in_16_bits(model)
    served = OnnxEncoder(open_session(model), tokenizer.backend_tokenizer, config.max_tokens)
    vectors = np.stack([served.encode_query(title) for title in TITLES])
    cosines = (vectors * expected).sum(1)
    assert cosines.mean() > 0.985
    assert cosines.min() > 0.97
    assert overlap(vectors @ expected.T, expected @ expected.T, 10).mean() > 0.85


@pytest.mark.slow
def test_a_ranker_in_int8_agrees_with_float32() -> None:
    """A new head on MiniLM. `test_ranker` compares the probabilities of a trained, small model."""
    config = RankerConfig(base="minilm", history_length=3, max_tokens=48, seed=0)
    ranker = Ranker(config, CPU)
    model = export_ranker(ranker.model)
    assert_exact_in_16_bits(model)
    words = Tokenizer.from_file(f"{resolve_base('minilm')}/tokenizer.json")
    served = OnnxRanker(open_session(model), words, config.history_length, config.max_tokens)
    for start in range(0, 20, 5):
        behaviour = TITLES[start : start + 3]
        found, expected = (r.predict(behaviour, None, TITLES[20:]) for r in (served, ranker))
        differences = np.abs(found - expected)
        assert differences.mean() < 0.01
        assert differences.max() < 0.03


def test_the_user_tower_stays_in_float32() -> None:
    assert integer_weights(tiny_model.payload().tower) == []


def overlap(
    scores: NDArray[np.float32], expected: NDArray[np.float32], k: int
) -> NDArray[np.float64]:
    """Return the share of the k best columns that both `(rows, columns)` have, `(rows,)`."""
    found, wanted = (np.argsort(-values, axis=1)[:, :k] for values in (scores, expected))
    return np.array([len({*a} & {*b}) / k for a, b in zip(found, wanted, strict=True)])
