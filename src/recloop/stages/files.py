"""Paths of the files of all stages, and functions to read and write them."""

import json
import shutil
from pathlib import Path
from typing import Any

DATA = Path("data")
SNAPSHOT = DATA / "snapshot"
INTERACTIONS = SNAPSHOT / "interactions.parquet"
ITEMS = SNAPSHOT / "items.parquet"
FEEDBACK = SNAPSHOT / "feedback.parquet"
QUARANTINE = SNAPSHOT / "quarantine.parquet"
SNAPSHOT_INFO = SNAPSHOT / "snapshot.json"

SPLIT = DATA / "split"
TRAIN, VALID, TEST = SPLIT / "train.parquet", SPLIT / "valid.parquet", SPLIT / "test.parquet"
TEST_REQUESTS = SPLIT / "test_requests.parquet"
SPLIT_INFO = SPLIT / "split.json"

ARTIFACTS = Path("artifacts")
BASE = ARTIFACTS / "base"
START = ARTIFACTS / "start"
START_INFO, START_ITEMS = START / "start.json", START / "items.parquet"
CHECKPOINT = ARTIFACTS / "checkpoint"
TUNED, FINAL, ENCODER = "tuned.safetensors", "final.safetensors", "encoder.safetensors"
SETTINGS = "settings.json"
RANKER = ARTIFACTS / "ranker"
RANKER_INFO, RANKER_MODEL, RANKER_TOKENIZER = (
    RANKER / name for name in ("ranker.json", "ranker.onnx", "tokenizer.json")
)
BASELINES = ARTIFACTS / "baselines"
MODEL = ARTIFACTS / "model"
PREDICTIONS = ARTIFACTS / "predictions"
CHAMPION_PREDICTIONS = ARTIFACTS / "champion-predictions"
REFERENCE = ARTIFACTS / "reference"

REPORTS = Path("reports")
VALIDATION = REPORTS / "validation.json"
DATA_DOCS = REPORTS / "data-docs"
PRETRAINING = REPORTS / "pretraining.json"
TRAINING = REPORTS / "training.json"
EPOCHS = REPORTS / "epochs.csv"
METRICS = REPORTS / "metrics.json"
MODELS_TABLE = REPORTS / "models.csv"
COMPARISON = REPORTS / "comparison.json"


def empty_folder(folder: Path) -> Path:
    """Delete and create a folder; return it, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a document as indented JSON with keys in their order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON document."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document
