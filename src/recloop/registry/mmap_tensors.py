"""Memory-mapped tensors of a safetensors file.

Pages are read from disk when they are used, and the workers of a machine share them.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# The dtypes of safetensors that packaged models use.
_DTYPES = {
    "BOOL": np.bool_,
    "U8": np.uint8,
    "I8": np.int8,
    "I32": np.int32,
    "I64": np.int64,
    "F16": np.float16,
    "F32": np.float32,
    "F64": np.float64,
}
_LENGTH_BYTES = 8


def mmap_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Return the tensors of a safetensors file by name, as read-only memory maps.

    The format is the length of the header (8 bytes, little-endian), a header in JSON, and the
    tensors, whose offsets count from the end of the header.

    Returns:
        Arrays with the shapes and dtypes of the header.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is not a valid safetensors file, or has a dtype that is not supported.
    """
    data = np.asarray(np.memmap(path, np.uint8, "r"))
    begin = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES].tobytes(), "little")
    header = json.loads(data[_LENGTH_BYTES:begin].tobytes())
    header.pop("__metadata__", None)
    return {name: _tensor(data[begin:], entry) for name, entry in header.items()}


def _tensor(data: NDArray[np.uint8], entry: dict[str, Any]) -> NDArray[Any]:
    first, last = entry["data_offsets"]
    if entry["dtype"] not in _DTYPES:
        raise ValueError(f"tensors of dtype {entry['dtype']} are not supported")
    return data[first:last].view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])
