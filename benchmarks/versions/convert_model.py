"""Convert a packaged model of format 1 (as 512bf31 wrote it) to the format of this checkout.

    python -m benchmarks.versions.convert_model artifacts/model converted

Takes the output of the export stage, or the folder of a version in the registry
(`bentoml/models/recloop/v1`), and writes the converted package into a new folder. The names in
`model.json` and those of the tensors change, and so does the manifest; all other files are copied.
The checks of `recloop` pass on the result, but a retrain does not continue from it: checkpoints of
format 1 lack the settings of their training.
"""

import argparse
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file, save_file

from recloop.registry.manifest import (
    CHECKPOINT,
    FORMAT,
    MANIFEST,
    PAYLOAD,
    Manifest,
    ModelFormatError,
    seal,
)
from recloop.registry.model_config import CONFIG, read_model_config
from recloop.registry.payload import TENSORS

_CHANNELS = {
    "sequential": "sasrec",
    "collaborative": "ease",
    "low-rank": "ials",
    "neighbours": "item-knn",
    "content": "text",
}
_SETTINGS = {
    "content_last": "text_last",
    "decay": "ease_decay",
    "neighbours_decay": "item_knn_decay",
    "low_rank_decay": "ials_decay",
}
_TENSORS = {
    "known": "warm",
    "collaborative": "ease",
    "collaborative_rows": "ease_rows",
    "neighbours.data": "item_knn.data",
    "neighbours.indices": "item_knn.indices",
    "neighbours.indptr": "item_knn.indptr",
    "neighbours_rows": "item_knn_rows",
    "factors": "ials_factors",
    "trends": "recent_counts",
}
_WEIGHTS = {"activity": "by_history_length", "newcomers": "cold_items"}
_COLD_ITEMS = {"stretch": "scale", "shift": "offset"}
_QUERY = {"mix": "weights"}
_QUERY_WEIGHTS = {"reach": "history_weight_limit"}
_IALS = {"rounds": "iterations"}
_RANKER = {"shown": "history_length"}
_RETRIEVAL = {
    "above": "min_catalogue",
    "count": "per_channel",
    "wider": "widen_factor",
    "narrow": "exhaustive_below",
    "likely": "shortlist",
}

Json = dict[str, Any]


def convert(source: Path, target: Path) -> None:
    """Write a package of the new format with the content of one of format 1.

    Args:
        source: Folder with `model.json`, or with a manifest and the folder `model`.
        target: Folder to create.

    Raises:
        FileExistsError: The target exists.
        ModelFormatError: The source has another format than 1.
        ValueError: A setting has no place in the new format.
    """
    shutil.copytree(source, target)
    if not (target / MANIFEST).exists():
        _convert_config(target)
        return
    shutil.rmtree(target / CHECKPOINT, ignore_errors=True)
    manifest = Manifest.model_validate_json(target.joinpath(MANIFEST).read_bytes())
    _convert_config(target / PAYLOAD)
    seal(target, manifest.version, manifest.lineage)


def convert_config(document: Json) -> Json:
    """Return the content of `model.json` under the new names."""
    if (found := document.get("format", 1)) != 1:
        raise ModelFormatError(f"the model has format {found}, only format 1 is converted")
    converted = _renamed(document, _SETTINGS)
    weights = _renamed(document["weights"], _WEIGHTS)
    weights["channels"] = _channels(weights["channels"])
    by_length = weights.get("by_history_length", {})
    weights["by_history_length"] = {least: _channels(own) for least, own in by_length.items()}
    weights["cold_items"] = _renamed(weights.get("cold_items", {}), _COLD_ITEMS)
    query = _renamed(document["query"], _QUERY)
    query["weights"] = _renamed(query["weights"], _QUERY_WEIGHTS)
    converted |= {
        "weights": weights,
        "ials": _renamed(converted.pop("low_rank"), _IALS),
        "query": query,
        "retrieval": _renamed(document.get("retrieval", {}), _RETRIEVAL),
        "format": FORMAT,
    }
    if document.get("ranker"):
        converted["ranker"] = _renamed(document["ranker"], _RANKER)
    return converted


def _convert_config(folder: Path) -> None:
    path = folder / CONFIG
    converted = convert_config(json.loads(path.read_text(encoding="utf-8")))
    path.write_text(json.dumps(converted, indent=2), encoding="utf-8")
    save_file(_renamed(load_file(folder / TENSORS), _TENSORS), folder / TENSORS)
    kept = read_model_config(folder).model_dump(mode="json")
    if lost := sorted(_paths(converted) - _paths(kept)):
        raise ValueError(f"format {FORMAT} has no place for {', '.join(lost)}")


def _channels(weights: dict[str, float]) -> dict[str, float]:
    return {
        re.sub(r"^trend-", "recent-popularity-", _CHANNELS.get(name, name)): weight
        for name, weight in weights.items()
    }


def _renamed(document: Json, names: dict[str, str]) -> Json:
    return {names.get(name, name): value for name, value in document.items()}


def _paths(document: Json, above: str = "") -> set[str]:
    """Return the path of every key, such as `query.weights`."""
    found: set[str] = set()
    for name, value in document.items():
        found.add(above + name)
        if isinstance(value, dict):
            found |= _paths(value, f"{above}{name}.")
    return found


def main() -> int:
    """Read the command line and convert one package."""
    parser = argparse.ArgumentParser(description="Convert a packaged model of format 1.")
    parser.add_argument("source", type=Path, help="folder of the package")
    parser.add_argument("target", type=Path, help="folder to create")
    arguments = parser.parse_args()
    convert(arguments.source, arguments.target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
