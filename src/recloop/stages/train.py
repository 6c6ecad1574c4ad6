"""Stage that trains the sequence model and tunes the language model (see `sequence_training`).

If the stage `start` has copied a checkpoint, training continues from it.
"""

import time
from datetime import datetime

import polars as pl

from recloop import columns as c
from recloop.config import read_block
from recloop.logs import get_log
from recloop.stages import files
from recloop.stages.checkpoint import current_base
from recloop.stages.files import CHECKPOINT
from recloop.stages.training_data import read_training_data
from recloop.training import checkpoint
from recloop.training.device import choose
from recloop.training.finetuning.fit import Progress
from recloop.training.finetuning.sequence_model import TrainConfig
from recloop.training.sequence_training import EarlierModel, train_sequence
from recloop.training.trained_sequence import TrainedSequence

log = get_log("train")


def main() -> None:
    """Train the models and write the checkpoint and reports.

    Reads data/snapshot, data/split and artifacts/start; writes artifacts/checkpoint,
    reports/training.json and reports/epochs.csv.
    """
    config, started = read_block("train", TrainConfig), time.monotonic()
    compute, start = choose(config.device), files.read_json(files.START_INFO)
    data = read_training_data(config.event_weights)
    trained = train_sequence(
        data,
        config,
        compute,
        base=current_base(config.text),
        earlier=_read_earlier_model(start["learned_until"]) if start["version"] else None,
        progress=_progress,
    )
    settings = trained.config.model_dump(mode="json")
    log.info("settings", **trained.config.tower.model_dump(), tuning=trained.config.text.tuning)
    _save(trained)
    is_continued = trained.forgetting is not None and not trained.forgot
    first_epoch = trained.history.epochs[0]
    files.write_json(
        files.TRAINING,
        {
            "continues": start["version"] if is_continued else None,
            "forgot_too_much": trained.forgot,
            "forgetting": trained.forgetting,
            "epochs": trained.history.best_epochs(),
            "valid_ndcg@10_at_start": first_epoch["ndcg@10"] if is_continued else None,
            "valid_ndcg@10": trained.history.best_quality(),
            "text_encoder": trained.change,
            "settings": settings,
            "device": str(compute.device),
            "bf16": compute.bf16,
            "seconds": round(time.monotonic() - started, 1),
        },
    )
    pl.DataFrame(trained.history.epochs).write_csv(files.EPOCHS)


def _save(trained: TrainedSequence) -> None:
    folder, text, rows = files.empty_folder(CHECKPOINT), trained.text, trained.rows
    checkpoint.save_sequence_model(folder / files.TUNED, trained.tuned, text, rows)
    checkpoint.save_sequence_model(folder / files.FINAL, trained.final, text, rows)
    if trained.language is not None:
        checkpoint.save_encoder(folder / files.ENCODER, trained.language.encoder)
    # These are the resolved settings: params.yaml may leave out those derived from the data.
    folder.joinpath(files.SETTINGS).write_text(trained.config.model_dump_json(indent=2) + "\n")


def _read_earlier_model(trained_until: str) -> EarlierModel:
    """Return the model that the stage `start` has copied."""
    config = TrainConfig.model_validate_json(files.START.joinpath(files.SETTINGS).read_bytes())
    model, _, rows = checkpoint.load_sequence_model(files.START / files.TUNED, config.tower)
    ids = pl.read_parquet(files.START_ITEMS)[c.ITEM].gather(rows).to_list()
    until = datetime.fromisoformat(trained_until).timestamp()
    encoder = files.START / files.ENCODER
    return EarlierModel(
        model,
        ids,
        config,
        lambda encoder_model: checkpoint.load_encoder_weights(encoder, encoder_model),
        until,
    )


def _progress(phase: str) -> Progress:
    def log_entry(entry: dict[str, float]) -> None:
        log.info(phase, **{name: round(value, 4) for name, value in entry.items()})

    return log_entry


if __name__ == "__main__":
    main()
