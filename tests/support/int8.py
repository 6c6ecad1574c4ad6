"""Checks of int8 models: what their integer products can add up to in 16 bits."""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

# vpmaddubsw adds two products in a signed 16-bit number and clips the sum to this range.
LOWEST, LARGEST = np.iinfo(np.int16).min, np.iinfo(np.int16).max
_LARGEST_ACTIVATION = np.iinfo(np.uint8).max


def integer_weights(model: bytes) -> list[NDArray[np.int8]]:
    """Return the weights of the integer matrix products of an ONNX model, each `(inputs, outputs)`.

    Raises:
        AssertionError: another operator computes with integers, or a weight is no int8 constant.
    """
    graph = onnx.load_from_string(model).graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    operators = {node.op_type for node in graph.node}
    computing = {name for name in operators if "Integer" in name or name.startswith("Q")}
    assert computing <= {"MatMulInteger"}
    weights = [
        numpy_helper.to_array(constants[node.input[1]])
        for node in graph.node
        if node.op_type == "MatMulInteger"
    ]
    assert all(matrix.dtype == np.int8 for matrix in weights)
    return weights


def largest_pair(weights: NDArray[np.int8]) -> int:
    """Return the largest size of the sum of two products, whatever the activations are.

    Args:
        weights: Shape `(inputs, outputs)`. Every two inputs of one output are taken as a pair,
            not only neighbours, so that the order in which a processor adds does not matter.
    """
    two = np.sort(np.abs(weights.astype(np.int64)), axis=0)[-2:]
    return int(_LARGEST_ACTIVATION * two.sum(0).max())


def assert_exact_in_16_bits(model: bytes) -> None:
    """Assert that an int8 model cannot exceed 16 bits on a processor without VNNI."""
    weights = integer_weights(model)
    assert weights
    assert max(map(largest_pair, weights)) <= LARGEST


def product_without_vnni(
    activations: NDArray[np.uint8], weights: NDArray[np.int8]
) -> NDArray[np.int64]:
    """Emulate an integer matrix product with `vpmaddubsw`: neighbouring products add in 16 bits.

    Args:
        activations: Shape `(rows, inputs)`, an even number of inputs.
        weights: Shape `(inputs, outputs)`.

    Returns:
        Shape `(rows, outputs)`.
    """
    products = activations.astype(np.int64)[:, :, None] * weights
    pairs = products[:, 0::2] + products[:, 1::2]
    return np.clip(pairs, LOWEST, LARGEST).sum(1)
