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
    fit_channel_weights,
)

log = get_log("export")


def main() -> None:
    """Fit the channels and their weights, and write the packaged model.

    Reads artifacts/checkpoint, artifacts/ranker, data/snapshot and data/split; writes
    artifacts/model.
    """
    config, data = read_block("export", ExportConfig), read_training_data()
    sequence = read_checkpoint()
    seed = sequence.config.seed
    channels = FittedChannels(data, config.channels, seed)
    text = all_text_vectors(sequence, data, every_item=True)
    weighted = fit_channel_weights(sequence, channels, text)
    log.info("weighed", **weighted.weights.model_dump())
    quality = channels.valid.mean_ndcg(weighted.tuned.score, data.items)
    log.info("validation", ndcg10=round(quality, 4))
    language = sequence.language
    query = (
        export_tuned_query(
            language.encoder, language.tokenizer, language.config.max_tokens, config.query, text
        )
        if config.query.encoder == TUNED and language is not None
        else export_frozen_query(config.query, data.catalogue)
    )
    users = user_table(pl.read_parquet(files.INTERACTIONS), data.catalogue)
    feedback_until = files.read_json(files.SNAPSHOT_INFO)["feedback_until"]
    payload = build_payload(sequence, channels, weighted, query, users, config, feedback_until)
    if ranker := _ranker(weighted.tuned, channels.valid, data.catalogue, seed):
        payload = payload.with_ranker(
            ranker,
            files.RANKER_MODEL.read_bytes(),
            files.RANKER_TOKENIZER.read_text(encoding="utf-8"),
        )
    payload.save(files.empty_folder(files.MODEL))


def _ranker(
    blend: Blend, valid: Requests, catalogue: Catalogue, seed: int
) -> PackagedRankerConfig | None:
    """Return the settings of the packaged ranker; None if it is off or validation gains nothing."""
    info = files.read_json(files.RANKER_INFO)
    if not info["enabled"]:
        return None
    tokenizer = Tokenizer.from_file(str(files.RANKER_TOKENIZER))
    session = open_session(files.RANKER_MODEL.read_bytes())
    input_settings = {
        name: info[name] for name in ("history_length", "max_tokens", "form", "start_tokens")
    }
    ranker = OnnxRanker(session, tokenizer, **input_settings)
    titles = catalogue.items[c.TITLE].to_list()
    requests = valid.sample(info["validation_requests"], seed)
    result = tune_ranker_weight(ranker, blend, requests, titles, catalogue.texts(), info["depth"])
    log.info("ranker", packaged=result.weight > 0, **asdict(result))
    if not result.weight:
        return None
    return PackagedRankerConfig(weight=result.weight, depth=info["depth"], **input_settings)


if __name__ == "__main__":
    main()
