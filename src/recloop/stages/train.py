"""Train: find the number of epochs on validation data with the language model tuned, then refit.

The refit runs on train and validation data with the text vectors that tuning ended on. Where the loop
laid out an earlier model, tuning continues from it, with its language model as it is and for fewer epochs.
"""

import time

import polars as pl
import torch

from recloop import columns as c
from recloop.config import read_block
from recloop.data.catalogue import Catalogue
from recloop.data.split import SplitConfig
from recloop.data.trail import walked
from recloop.evaluation.offline import Requests
from recloop.logs import get_log
from recloop.models.text import Texts, load_encoder
from recloop.stages import files
from recloop.stages.base import current_base
from recloop.stages.files import CHECKPOINT
from recloop.training import checkpoint
from recloop.training.device import choose
from recloop.training.finetune import Progress, fit
from recloop.training.judge import judge_on
from recloop.training.sequence import FrozenText, SequenceModel, TrainConfig
from recloop.training.textside import TunedText
from recloop.training.warm import carried

# Of the epochs of training from scratch, those that continuing takes (docs/log.md).
_SHARE = 1 / 6

log = get_log("train")


def main() -> None:
    """data/split → artifacts/checkpoint, reports/training.json and the curve of the epochs."""
    config, split = read_block("train", TrainConfig), read_block("split", SplitConfig)
    started, compute = time.monotonic(), choose(config.device)
    catalogue = Catalogue(pl.read_parquet(files.ITEMS))
    torch.manual_seed(config.seed)
    encoder, tokenizer = load_encoder(current_base(config.text), config.text)
    continues = files.read_json(files.START_FACTS)["version"]
    if continues:
        checkpoint.load_encoder_weights(files.START / files.ENCODER, encoder)
        config = config.continuing(config.epochs, _SHARE)
    texts = Texts(catalogue.texts(), tokenizer, config.text)
    passes = len(config.text_passes)
    text = TunedText(encoder, texts, config.text_learning_rate, compute, passes)
    before = text.vectors
    log.info("items encoded", device=str(compute.device), bf16=compute.bf16, items=len(catalogue))

    requests = Requests.encode(
        pl.read_parquet(files.VALID_REQUESTS), catalogue, repeats=split.repeats
    )
    judge = judge_on(requests.sample(2_000, config.seed), config.tower.window)
    past = walked(
        pl.read_parquet(files.TRAIN), catalogue, config.event_weights, repeats=split.repeats
    )
    start = _start(catalogue, config) if continues else None
    tuned, history = fit(
        past, text, config, compute, start=start, judge=judge, progress=_say("tune")
    )
    files.fresh(CHECKPOINT)
    checkpoint.save_sequence_model(CHECKPOINT / files.TUNED, tuned, text.vectors)
    checkpoint.save_encoder(CHECKPOINT / files.ENCODER, encoder)

    final, _ = fit(
        walked(files.past(), catalogue, config.event_weights, repeats=split.repeats),
        FrozenText(text.vectors),
        config.continuing(history.best_epochs()),
        compute,
        start=tuned,
        progress=_say("refit"),
    )
    checkpoint.save_sequence_model(CHECKPOINT / files.FINAL, final, text.vectors)
    files.write_json(
        files.TRAINING,
        {
            "continues": continues,
            "epochs": history.best_epochs(),
            "valid_ndcg@10_at_start": history.epochs[0].get("ndcg@10") if start else None,
            "valid_ndcg@10": history.best_quality(),
            "text_encoder": checkpoint.tuned_change(encoder, before, text.vectors),
            "device": str(compute.device),
            "bf16": compute.bf16,
            "seconds": round(time.monotonic() - started, 1),
        },
    )
    pl.DataFrame(history.epochs).write_csv(files.EPOCHS)


def _start(catalogue: Catalogue, config: TrainConfig) -> SequenceModel:
    """The earlier model on today's catalogue."""
    model, _ = checkpoint.load_sequence_model(files.START / files.TUNED, config.tower)
    ids = pl.read_parquet(files.START_ITEMS)[c.ITEM].to_list()
    return carried(model, ids, catalogue, config.tower)


def _say(phase: str) -> Progress:
    def say(entry: dict[str, float]) -> None:
        log.info(phase, **{name: round(value, 4) for name, value in entry.items()})

    return say


if __name__ == "__main__":
    main()
