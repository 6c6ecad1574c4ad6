"""Settings of a packaged model, stored in its `model.json`."""

import json
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel

from recloop.recommender.retrieval import RetrievalConfig
from recloop.registry.manifest import FORMAT, check_format
from recloop.scoring.blend import BlendWeights
from recloop.scoring.channels.implicit_als import ImplicitALSConfig
from recloop.scoring.query.matcher import QueryModelConfig
from recloop.scoring.ranker.packing import RankerForm

CONFIG = "model.json"


class PackagedRankerConfig(BaseModel):
    """Settings of the packaged ranker.

    Attributes:
        weight: Weight of the ranker's scores.
        depth: Number of first items that are re-ranked.
        history_length: Newest items of the history that the ranker reads.
        max_tokens: Length at which its inputs are cut.
    """

    weight: float
    depth: int
    history_length: int
    max_tokens: int
    form: RankerForm = "classification"
    start_tokens: tuple[int, ...] = ()


class ModelConfig(BaseModel):
    """Settings of a packaged model.

    Attributes:
        weights: Weights of the channels.
        repeats: Whether items that the user has seen may be recommended.
        window: Newest items of the history that SASRec reads.
        text_last: Newest items of the history that the text channel reads.
        ease_decay: Factor of EASE by which each older item of the history counts less.
        item_knn_decay: The same of item-kNN.
        words_decay: The same of the words channel.
        ials: Settings of iALS.
        ials_decay: The same factor of iALS.
        query: Settings of the query encoder.
        ranker: Settings of the ranker; None without one.
        retrieval: Settings of candidate generation.
        tuned_until: Time of the last interaction in the training data of the checkpoint.
        trained_until: Time of the last interaction in all training data.
        feedback_until: Number of the last event of the store in the data.
        format: Format of the package (see `recloop.registry.manifest.FORMAT`).
    """

    weights: BlendWeights
    repeats: bool
    window: int
    text_last: int
    ease_decay: float
    item_knn_decay: float
    words_decay: float = 1.0
    ials: ImplicitALSConfig
    ials_decay: float
    query: QueryModelConfig
    ranker: PackagedRankerConfig | None = None
    retrieval: RetrievalConfig = RetrievalConfig()
    tuned_until: datetime
    trained_until: datetime
    feedback_until: int
    format: int = FORMAT


def read_model_config(folder: Path) -> ModelConfig:
    """Read the settings of the model in a folder.

    Raises:
        ModelFormatError: The package has another format than this version reads.
        OSError: The file cannot be read.
        ValueError: The file is not valid.
    """
    document = json.loads(folder.joinpath(CONFIG).read_bytes())
    check_format(str(folder), document)
    return ModelConfig.model_validate(document)
