"""Train: find the number of epochs on validation data with the language model tuned, then refit.

The refit runs on train and validation data with the text vectors that tuning ended on. Where the loop
laid out an earlier model, tuning continues from it, with its language model as it is and for fewer epochs;
where that forgets too much of what the earlier one had learned, training starts from scratch after all.
"""

import time
from dataclasses import dataclass
from typing import Any

import polars as pl
import torch
from torch import Tensor

from recloop import columns as c
from recloop.config import read_block
from recloop.data.catalogue import Catalogue
from recloop.data.split import SplitConfig
from recloop.data.trail import walked
from recloop.evaluation.offline import Requests
from recloop.logs import get_log
from recloop.models.text import TextEncoder, Texts, load_encoder
from recloop.stages import files
from recloop.stages.base import current_base
from recloop.stages.files import CHECKPOINT
from recloop.training import checkpoint
from recloop.training.device import Compute, choose
from recloop.training.finetune import History, Progress, fit
from recloop.training.judge import judge_on
from recloop.training.sequence import FrozenText, SequenceModel, TrainConfig
from recloop.training.textside import TunedText
from recloop.training.warm import carried, remembered

# Requests that judge, at most; and at least, where forgetting is judged.
_JUDGED, _FEWEST = 2_000, 100
# Of the epochs of training from scratch, those that continuing takes (docs/log.md).
_SHARE = 1 / 6

log = get_log("train")


@dataclass(frozen=True)
class Tuned:
    """What tuning ended with; `forgetting` where it continued an earlier model."""

    model: SequenceModel
    history: History
    encoder: TextEncoder
    text: TunedText
    before: Tensor
    forgetting: dict[str, float] | None


def main() -> None:
    """data/split → artifacts/checkpoint, reports/training.json and the curve of the epochs."""
    config, split = read_block("train", TrainConfig), read_block("split", SplitConfig)
    started, compute = time.monotonic(), choose(config.device)
    catalogue = Catalogue(pl.read_parquet(files.ITEMS))
    start = files.read_json(files.START_FACTS)
    tuned = _tune(catalogue, config, split, compute, start)
    forgetting = tuned.forgetting
    if forgot := forgetting is not None and too_much(forgetting, config.max_forgetting):
        log.info("forgot too much, training from scratch", **forgetting)
        tuned = _tune(catalogue, config, split, compute, {"version": None})

    files.fresh(CHECKPOINT)
    text = tuned.text.vectors
    checkpoint.save_sequence_model(CHECKPOINT / files.TUNED, tuned.model, text)
    checkpoint.save_encoder(CHECKPOINT / files.ENCODER, tuned.encoder)
    final, _ = fit(
        walked(files.past(), catalogue, config.event_weights, repeats=split.repeats),
        FrozenText(text),
        config.continuing(tuned.history.best_epochs()),
        compute,
        start=tuned.model,
        progress=_say("refit"),
    )
    checkpoint.save_sequence_model(CHECKPOINT / files.FINAL, final, text)
    continued = tuned.forgetting is not None
    files.write_json(
        files.TRAINING,
        {
            "continues": start["version"] if continued else None,
            "forgot_too_much": forgot,
            "forgetting": forgetting,
            "epochs": tuned.history.best_epochs(),
            "valid_ndcg@10_at_start": tuned.history.epochs[0]["ndcg@10"] if continued else None,
            "valid_ndcg@10": tuned.history.best_quality(),
            "text_encoder": checkpoint.tuned_change(tuned.encoder, tuned.before, text),
            "device": str(compute.device),
            "bf16": compute.bf16,
            "seconds": round(time.monotonic() - started, 1),
        },
    )
    pl.DataFrame(tuned.history.epochs).write_csv(files.EPOCHS)


def _tune(
    catalogue: Catalogue,
    config: TrainConfig,
    split: SplitConfig,
    compute: Compute,
    start: dict[str, Any],
) -> Tuned:
    """On training data, judged on validation; from an earlier model where `start` names one."""
    torch.manual_seed(config.seed)
    encoder, tokenizer = load_encoder(current_base(config.text), config.text)
    earlier = None
    if start["version"]:
        checkpoint.load_encoder_weights(files.START / files.ENCODER, encoder)
        config = config.continuing(config.epochs, _SHARE)
        earlier = _earlier(catalogue, config, compute)
    texts = Texts(catalogue.texts(), tokenizer, config.text)
    passes = len(config.text_passes)
    text = TunedText(encoder, texts, config.text_learning_rate, compute, passes)
    before = text.vectors
    log.info("items encoded", device=str(compute.device), bf16=compute.bf16, items=len(catalogue))

    train = pl.read_parquet(files.TRAIN)
    trails = walked(train, catalogue, config.event_weights, repeats=split.repeats)
    valid = Requests.encode(pl.read_parquet(files.VALID_REQUESTS), catalogue, repeats=split.repeats)
    judge = judge_on(valid.sample(_JUDGED, config.seed), config.tower.window)
    model, history = fit(
        trails, text, config, compute, start=earlier, judge=judge, progress=_say("tune")
    )
    forgetting = None
    if earlier is not None:
        asked = learned_before(train, catalogue, start["learned_until"], split, config.seed)
        forgetting = _forgetting(earlier, model, before, text.vectors, asked, config)
    return Tuned(model, history, encoder, text, before, forgetting)


def learned_before(
    train: pl.DataFrame, catalogue: Catalogue, until: str, split: SplitConfig, seed: int
) -> Requests:
    """The forgetting check, of what a model had learned that was trained `until` a moment (ISO 8601)."""
    old = train.filter(pl.col(c.TIME) <= pl.lit(until).str.to_datetime(time_zone="UTC"))
    trails = walked(old, catalogue, repeats=split.repeats)
    return remembered(trails, _JUDGED, seed, repeats=split.repeats)


def _forgetting(
    earlier: SequenceModel,
    model: SequenceModel,
    before: Tensor,
    after: Tensor,
    asked: Requests,
    config: TrainConfig,
) -> dict[str, float]:
    """NDCG@10 on what the earlier model had learned, by it and by the one that continued it."""
    if not asked.histories:
        return {"requests": 0.0, "before": 0.0, "after": 0.0}
    judge = judge_on(asked, config.tower.window)
    return {
        "requests": float(len(asked.histories)),
        "before": judge(earlier, before),
        "after": judge(model, after),
    }


def too_much(forgetting: dict[str, float], bound: float) -> bool:
    """Whether more than a share of `bound` was lost; of few people nothing can be said."""
    enough = forgetting["requests"] >= _FEWEST
    return enough and forgetting["after"] < (1 - bound) * forgetting["before"]


def _earlier(catalogue: Catalogue, config: TrainConfig, compute: Compute) -> SequenceModel:
    """The earlier model on today's catalogue."""
    model, _ = checkpoint.load_sequence_model(files.START / files.TUNED, config.tower)
    ids = pl.read_parquet(files.START_ITEMS)[c.ITEM].to_list()
    return carried(model, ids, catalogue, config.tower).to(compute.device)


def _say(phase: str) -> Progress:
    def say(entry: dict[str, float]) -> None:
        log.info(phase, **{name: round(value, 4) for name, value in entry.items()})

    return say


if __name__ == "__main__":
    main()
