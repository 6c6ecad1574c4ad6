"""From checkpoint to what serves: ONNX and tables, with the blend tuned on validation data.

The blend is chosen with the model that saw no validation data, through the channels that serve;
its weights then join the refitted model.
"""

import numpy as np
import polars as pl

from recloop import columns as c
from recloop.config import Settings, read_block
from recloop.data.catalogue import Catalogue, counts
from recloop.evaluation.offline import Requests
from recloop.logs import get_log
from recloop.models.blend import (
    COLLABORATIVE,
    CONTENT,
    POPULARITY,
    SEQUENTIAL,
    BlendWeights,
    tune,
)
from recloop.models.content import Content
from recloop.models.item_item import ItemItem
from recloop.models.popularity import Popularity
from recloop.models.query import TUNED, QueryConfig
from recloop.models.scorer import Scorer, standardise
from recloop.models.sequential import Sequential
from recloop.models.text import load_encoder
from recloop.registry.payload import Card, Payload, user_table
from recloop.stages import files
from recloop.stages.base import current_base
from recloop.training import baselines, checkpoint
from recloop.training.export import export_tower
from recloop.training.finetune import TrainConfig
from recloop.training.queryside import QueryFiles, frozen_query, tuned_query


class ExportConfig(Settings):
    """How the channels beside the sequence model are built, and how queries are read."""

    ease_l2: list[float] = [300.0, 600.0, 1200.0]
    decays: list[float] = [0.95, 0.9, 0.85, 0.8]
    content_last: int = 5
    query: QueryConfig = QueryConfig()
    blend_requests: int = 2_000


log = get_log("export")


def main() -> None:
    """artifacts/checkpoint and data/split → artifacts/model."""
    config, train_config = read_block("export", ExportConfig), read_block("train", TrainConfig)
    catalogue = Catalogue(pl.read_parquet(files.ITEMS))
    valid = Requests.encode(pl.read_parquet(files.VALID_REQUESTS), catalogue)
    valid = valid.sample(config.blend_requests, train_config.seed)

    train = pl.read_parquet(files.TRAIN)
    matrix = baselines.user_item_matrix(train, catalogue)
    ease = baselines.tune(baselines.ease, matrix, config.ease_l2, config.decays, valid.judge)
    weights = _tune_blend(train, catalogue, ease.model, valid, config, train_config)
    log.info("blend tuned", **weights.channels, cold_offset=weights.cold_offset)

    past = files.past()
    final_matrix = baselines.user_item_matrix(past, catalogue)
    final = baselines.ease(final_matrix, ease.setting, ease.decay)
    payload = _payload(catalogue, final, weights, past, config, train_config)
    payload.save(files.fresh(files.MODEL))


def _tune_blend(
    train: pl.DataFrame,
    catalogue: Catalogue,
    ease: ItemItem,
    valid: Requests,
    config: ExportConfig,
    train_config: TrainConfig,
) -> BlendWeights:
    tower = train_config.tower
    path = files.CHECKPOINT / "tuned.safetensors"
    model, text = checkpoint.load_sequence_model(path, tower)
    exported = export_tower(model.tower, tower.dim, tower.window)
    vectors = model.vectors(text).numpy()
    channels: dict[str, Scorer] = {
        SEQUENTIAL: Sequential(exported, vectors, tower.window),
        COLLABORATIVE: ease,
        CONTENT: Content(text.numpy(), config.content_last),
        POPULARITY: Popularity(counts(train, catalogue)),
    }
    standardised = {
        name: standardise(channel.score(valid.histories)) for name, channel in channels.items()
    }
    weights, quality = tune(standardised, model.known.numpy(), valid.ndcg_at_10)
    log.info("validation", ndcg10=round(quality, 4))
    return weights


def _payload(
    catalogue: Catalogue,
    ease: ItemItem,
    weights: BlendWeights,
    past: pl.DataFrame,
    config: ExportConfig,
    train_config: TrainConfig,
) -> Payload:
    tower = train_config.tower
    model, text = checkpoint.load_sequence_model(files.CHECKPOINT / "final.safetensors", tower)
    query = _query(catalogue, config.query, train_config)
    facts = files.read_json(files.SNAPSHOT_FACTS)
    return Payload(
        card=Card(
            weights=weights,
            window=tower.window,
            content_last=config.content_last,
            decay=ease.decay,
            query=query.card,
            trained_until=past.select(pl.col(c.TIME).max()).item(),
            feedback_until=facts["feedback_until"],
        ),
        items=catalogue.items,
        users=user_table(pl.read_parquet(files.INTERACTIONS), catalogue),
        vectors=model.vectors(text).numpy(),
        text=text.numpy().astype(np.float16),
        known=model.known.numpy(),
        counts=counts(past, catalogue),
        collaborative=ease.weights,
        collaborative_rows=ease.rows,
        tower=export_tower(model.tower, tower.dim, tower.window),
        encoder=query.encoder,
        tokenizer=query.tokenizer,
        search=query.vectors,
    )


def _query(catalogue: Catalogue, config: QueryConfig, train_config: TrainConfig) -> QueryFiles:
    if config.encoder != TUNED:
        return frozen_query(config, catalogue)
    text = train_config.text
    encoder, tokenizer = load_encoder(current_base(text), text)
    checkpoint.load_encoder_weights(files.CHECKPOINT / "encoder.safetensors", encoder)
    return tuned_query(encoder, tokenizer, text.max_tokens, config)


if __name__ == "__main__":
    main()
