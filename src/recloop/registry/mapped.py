"""Tensors of a safetensors file, left on disk: pages are read as they are used, and workers share them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Of those that safetensors has, the ones that are packaged.
_KINDS = {
    "BOOL": np.bool_,
    "U8": np.uint8,
    "I8": np.int8,
    "I32": np.int32,
    "I64": np.int64,
    "F16": np.float16,
    "F32": np.float32,
    "F64": np.float64,
}
_LENGTH = 8


def mapped(path: Path) -> dict[str, NDArray[Any]]:
    """Every tensor by its name, not to write to.

    The format is a length of eight bytes, a header of JSON, and the tensors, whose offsets count from
    the header's end. Raises OSError, ValueError where the file is missing or unfit.
    """
    data = np.asarray(np.memmap(path, np.uint8, "r"))
    begin = _LENGTH + int.from_bytes(data[:_LENGTH].tobytes(), "little")
    header = json.loads(data[_LENGTH:begin].tobytes())
    header.pop("__metadata__", None)
    return {name: _tensor(data[begin:], told) for name, told in header.items()}


def _tensor(data: NDArray[np.uint8], told: dict[str, Any]) -> NDArray[Any]:
    first, last = told["data_offsets"]
    if told["dtype"] not in _KINDS:
        raise ValueError(f"tensors of {told['dtype']} are not read")
    return data[first:last].view(_KINDS[told["dtype"]]).reshape(told["shape"])
