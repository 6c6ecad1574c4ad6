"""Stage that builds the packaged model from the checkpoint (see `training.packaging`)."""

from dataclasses import asdict

import polars as pl
from tokenizers import Tokenizer

from recloop import columns as c
from recloop.config import read_block
from recloop.data.catalogue import Catalogue
from recloop.evaluation.evaluation_requests import Requests
from recloop.logs import get_log
from recloop.registry.model_config import PackagedRankerConfig
from recloop.registry.user_table import user_table
from recloop.scoring.blend import Blend
from recloop.scoring.onnx_session import open_session
from recloop.scoring.query.matcher import TUNED
from recloop.scoring.ranker.onnx_ranker import OnnxRanker
from recloop.stages import files
from recloop.stages.checkpoint import read_checkpoint
from recloop.stages.training_data import read_training_data
from recloop.training.blending.ranker_weight import tune_ranker_weight
from recloop.training.channels.fitted_channels import FittedChannels
from recloop.training.export.query_export import export_frozen_query, export_tuned_query
from recloop.training.packaging import (
    ExportConfig,
    all_text_vectors,
    build_payload,
    weigh_channels,
)

log = get_log("export")


def main() -> None:
    """Fit the channels and their weights, and write the packaged model.

    Reads artifacts/checkpoint, artifacts/ranker, data/snapshot and data/split; writes
    artifacts/model.
    """
    config, data, sequence = (
        read_block("export", ExportConfig),
        read_training_data(),
        read_checkpoint(),
    )
    seed = sequence.config.seed
    channels = FittedChannels(data, config.channels, seed)
    weighed = weigh_channels(sequence, channels, all_text_vectors(sequence, data, every_item=True))
    log.info("weighed", **weighed.weights.model_dump())
    quality = channels.valid.quality(weighed.tuned.score, data.items)
    log.info("validation", ndcg10=round(quality, 4))
    language = sequence.language
    query = (
        export_tuned_query(
            language.encoder, language.tokenizer, language.config.max_tokens, config.query
        )
        if config.query.encoder == TUNED and language is not None
        else export_frozen_query(config.query, data.catalogue)
    )
    users = user_table(pl.read_parquet(files.INTERACTIONS), data.catalogue)
    feedback_until = files.read_json(files.SNAPSHOT_FACTS)["feedback_until"]
    payload = build_payload(sequence, channels, weighed, query, users, config, feedback_until)
    if ranker := _ranker(weighed.tuned, channels.valid, data.catalogue, seed):
        payload = payload.with_ranker(
            ranker,
            files.RANKER_MODEL.read_bytes(),
            files.RANKER_TOKENIZER.read_text(encoding="utf-8"),
        )
    payload.save(files.fresh(files.MODEL))


def _ranker(
    blend: Blend, valid: Requests, catalogue: Catalogue, seed: int
) -> PackagedRankerConfig | None:
    """Return the settings of the packaged ranker; None if it is off or validation gains nothing."""
    facts = files.read_json(files.RANKER_CARD)
    if not facts["enabled"]:
        return None
    words = Tokenizer.from_file(str(files.RANKER_TOKENIZER))
    session = open_session(files.RANKER_MODEL.read_bytes())
    reading = {
        name: facts[name] for name in ("history_length", "max_tokens", "form", "start_tokens")
    }
    ranker = OnnxRanker(session, words, **reading)
    titles, judged = catalogue.items[c.TITLE].to_list(), valid.sample(facts["judged"], seed)
    worth = tune_ranker_weight(ranker, blend, judged, titles, catalogue.texts(), facts["depth"])
    log.info("ranker", packaged=worth.weight > 0, **asdict(worth))
    if not worth.weight:
        return None
    return PackagedRankerConfig(weight=worth.weight, depth=facts["depth"], **reading)


if __name__ == "__main__":
    main()
