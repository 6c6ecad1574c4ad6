"""Stage of continued pretraining of the base model on the catalogue's texts; off by default."""

import time

import polars as pl

from recloop.config import read_block
from recloop.data.catalogue import Catalogue
from recloop.logs import get_log
from recloop.stages import files
from recloop.training.base_models import resolve_base
from recloop.training.device import choose
from recloop.training.finetuning.pretraining import PretrainConfig, pretrain
from recloop.training.finetuning.sequence_model import TrainConfig

log = get_log("pretrain")


def main() -> None:
    """Continue the pretraining of the base model.

    Reads data/snapshot/items.parquet; writes artifacts/base, empty if pretraining is off, and
    reports/pretraining.json.
    """
    config, train_config = read_block("pretrain", PretrainConfig), read_block("train", TrainConfig)
    target, started = files.empty_folder(files.BASE), time.monotonic()
    if config.epochs == 0:
        files.write_json(files.PRETRAINING, {"epochs": 0})
        return
    texts = Catalogue(pl.read_parquet(files.ITEMS)).texts()
    base, compute = resolve_base(train_config.text.base), choose(train_config.device)
    report = pretrain(base, texts, target, config, compute, progress=_log_progress)
    seconds = round(time.monotonic() - started, 1)
    files.write_json(files.PRETRAINING, {"epochs": config.epochs, **report, "seconds": seconds})


def _log_progress(entry: dict[str, float]) -> None:
    log.info("pretrain", **{name: round(value, 4) for name, value in entry.items()})


if __name__ == "__main__":
    main()
