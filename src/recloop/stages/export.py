"""From checkpoint to what serves: ONNX and tables, mixed by weights learned on validation data.

The weights are learned with the models that saw no validation data, through the channels that serve;
they then join the refitted models.
"""

from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl
from tokenizers import Tokenizer

from recloop import columns as c
from recloop.config import Settings, read_block
from recloop.data.catalogue import Catalogue
from recloop.data.split import SplitConfig
from recloop.evaluation.offline import Requests
from recloop.logs import get_log
from recloop.models.blend import (
    CONTENT,
    POPULARITY,
    SEQUENTIAL,
    Blend,
    BlendWeights,
    repeat_channels,
)
from recloop.models.content import Content
from recloop.models.newcomers import Newcomers
from recloop.models.query import TUNED, QueryConfig
from recloop.models.ranker_onnx import OnnxRanker
from recloop.models.scorer import Channel, by_history
from recloop.models.sequential import Sequential, open_session
from recloop.models.text import load_encoder
from recloop.recommender.retrieval import RetrievalConfig
from recloop.registry.card import Card, RankerCard
from recloop.registry.payload import Payload
from recloop.registry.users import user_table
from recloop.stages import files
from recloop.stages.base import current_base
from recloop.training import checkpoint
from recloop.training.beside import Beside, BesideConfig, tune_beside
from recloop.training.export import export_tower
from recloop.training.mixing import fit_mix
from recloop.training.queryside import QueryFiles, frozen_query, tuned_query
from recloop.training.rankerweight import weigh_ranker
from recloop.training.sequence import TrainConfig

# Of popularity, which an empty history is answered with.
_LEAST = 0.01


class ExportConfig(Settings):
    """How the channels beside the sequence model are built, queries are read, and candidates are found."""

    beside: BesideConfig = BesideConfig()
    content_last: int = 5
    query: QueryConfig = QueryConfig()
    retrieval: RetrievalConfig = RetrievalConfig()
    blend_requests: int = 2_000


log = get_log("export")


def main() -> None:
    """artifacts/checkpoint and data/split → artifacts/model."""
    config, train_config = read_block("export", ExportConfig), read_block("train", TrainConfig)
    repeats = read_block("split", SplitConfig).repeats
    catalogue = Catalogue(pl.read_parquet(files.ITEMS))
    valid = Requests.encode(pl.read_parquet(files.VALID_REQUESTS), catalogue, repeats=repeats)
    valid = valid.sample(config.blend_requests, train_config.seed)

    train, past = pl.read_parquet(files.TRAIN), files.past()
    tuned = tune_beside(train, catalogue, valid, config.beside)
    final = tuned.refitted(past, catalogue)
    new = int((final.counts == 0).sum())
    weights, mixed = _weigh(tuned, valid, config, train_config, new)
    log.info("weighed", **weights.model_dump())
    ranker = _ranker(mixed, valid, catalogue, train_config.seed)
    ends = (train[c.TIME].max(), past[c.TIME].max())
    payload = _payload(catalogue, final, weights, ends, config, train_config, repeats=repeats)
    if ranker:
        payload = payload.with_ranker(
            ranker,
            files.RANKER_MODEL.read_bytes(),
            files.RANKER_TOKENIZER.read_text(encoding="utf-8"),
        )
    payload.save(files.fresh(files.MODEL))


def _weigh(
    beside: Beside, valid: Requests, config: ExportConfig, train_config: TrainConfig, new: int
) -> tuple[BlendWeights, Blend]:
    """The weights, and the channels that they were learned with, mixed by them."""
    tower = train_config.tower
    model, text = checkpoint.load_sequence_model(files.CHECKPOINT / files.TUNED, tower)
    exported = export_tower(model.tower, tower.dim, tower.window)
    channels: dict[str, Channel] = {
        SEQUENTIAL: Sequential(exported, model.vectors(text).numpy(), tower.window).score,
        CONTENT: by_history(Content(text.numpy(), config.content_last)),
        **beside.channels(),
        **({} if valid.masked else repeat_channels(len(text))),
    }
    known = model.known.numpy()
    weights = fit_mix(channels, text.numpy(), known, valid, train_config.seed, new)
    for channel_weights in (weights.channels, *weights.activity.values()):
        channel_weights[POPULARITY] = max(channel_weights[POPULARITY], _LEAST)
    mixed = Blend(channels, weights, Newcomers(text.numpy(), known, weights.newcomers))
    log.info("validation", ndcg10=round(valid.ndcg_at_10(mixed.score(valid)), 4))
    return weights, mixed


def _ranker(blend: Blend, valid: Requests, catalogue: Catalogue, seed: int) -> RankerCard | None:
    """How the ranker joins the model; None where it is off, or where validation gains nothing by it."""
    told = files.read_json(files.RANKER_CARD)
    if not told["enabled"]:
        return None
    words = Tokenizer.from_file(str(files.RANKER_TOKENIZER))
    session = open_session(files.RANKER_MODEL.read_bytes())
    ranker = OnnxRanker(session, words, told["shown"], told["max_tokens"])
    titles, judged = catalogue.items[c.TITLE].to_list(), valid.sample(told["judged"], seed)
    worth = weigh_ranker(ranker, blend, judged, titles, catalogue.texts(), told["depth"])
    log.info("ranker", packaged=worth.weight > 0, **asdict(worth))
    if not worth.weight:
        return None
    return RankerCard(
        weight=worth.weight,
        depth=told["depth"],
        shown=told["shown"],
        max_tokens=told["max_tokens"],
    )


def _payload(
    catalogue: Catalogue,
    beside: Beside,
    weights: BlendWeights,
    ends: tuple[Any, Any],
    config: ExportConfig,
    train_config: TrainConfig,
    *,
    repeats: bool,
) -> Payload:
    tower = train_config.tower
    model, text = checkpoint.load_sequence_model(files.CHECKPOINT / files.FINAL, tower)
    query = _query(catalogue, config.query, train_config)
    facts = files.read_json(files.SNAPSHOT_FACTS)
    return Payload(
        card=Card(
            weights=weights,
            repeats=repeats,
            window=tower.window,
            content_last=config.content_last,
            decay=beside.ease.decay,
            neighbours_decay=beside.neighbours.decay,
            low_rank=beside.low_rank.config,
            low_rank_decay=beside.low_rank.decay,
            query=query.card,
            retrieval=config.retrieval,
            tuned_until=ends[0],
            trained_until=ends[1],
            feedback_until=facts["feedback_until"],
        ),
        items=catalogue.items,
        users=user_table(pl.read_parquet(files.INTERACTIONS), catalogue),
        vectors=model.vectors(text).numpy(),
        text=text.numpy().astype(np.float16),
        known=model.known.numpy(),
        counts=beside.counts,
        collaborative=beside.ease.weights,
        collaborative_rows=beside.ease.rows,
        neighbours=beside.neighbours.weights,
        neighbours_rows=beside.neighbours.rows,
        factors=beside.low_rank.factors,
        trends=beside.trends,
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
    checkpoint.load_encoder_weights(files.CHECKPOINT / files.ENCODER, encoder)
    return tuned_query(encoder, tokenizer, text.max_tokens, config)


if __name__ == "__main__":
    main()
