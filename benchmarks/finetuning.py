"""Comparison of the methods of fine-tuning the language model.

`python -m benchmarks.finetuning --tuning lora --tuning full --seed 1` makes the split of the
pipeline's stages from all data of the source, trains on its training part with each method, and
prints the NDCG@10 on its validation part, the seconds, and how far the language model moved.
"""

import contextlib
import json
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any, get_args

import torch
import typer

from benchmarks.output import command_line, log, machine, write_json
from benchmarks.pipeline import prepare_folder, run_stage
from recloop.config import read_block
from recloop.stages.training_data import read_training_data
from recloop.training.base_models import Tuning, resolve_base
from recloop.training.checkpoint import tuned_change
from recloop.training.device import choose
from recloop.training.finetuning.auto_settings import settings_from_data
from recloop.training.finetuning.fit import fit
from recloop.training.finetuning.sequence_model import TrainConfig
from recloop.training.finetuning.trainable_text import TrainableTextVectors
from recloop.training.finetuning.validation import validation_metric
from recloop.training.modules.text_encoder import TokenizedTexts, load_encoder

# Learning rates other than the default: lower if all weights are tuned, higher for AdaLoRA, whose
# weights start near zero, and for the other methods with few new weights.
LEARNING_RATES = {"full": 2e-5, "adalora": 5e-3, "adapter": 1e-3, "prefix": 1e-2}


def main(
    tuning: Annotated[list[str] | None, typer.Option(help="Repeatable; default all.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Repeatable.")] = None,
    base: Annotated[str, typer.Option(help="minilm, smollm2, an id or a folder.")] = "minilm",
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
) -> None:
    """Train with every method and seed, and print the results."""
    methods = [method for method in get_args(Tuning) if tuning is None or method in tuning]
    with tempfile.TemporaryDirectory() as folder:
        prepare_folder(Path(folder), {})
        for stage in ("snapshot", "split"):
            run_stage(stage, Path(folder))
        runs = [
            _run(Path(folder), base, method, number)
            for method in methods
            for number in seed or [42]
        ]
    write_json({"command": command_line(), "machine": machine(), "runs": runs}, out)


def _run(folder: Path, base: str, tuning: str, seed: int) -> dict[str, Any]:
    with contextlib.chdir(folder):
        data = read_training_data()
    config = read_block("train", TrainConfig, folder / "params.yaml")
    config = settings_from_data(config, data.train, data.items)
    learning_rate = LEARNING_RATES.get(tuning, config.text_learning_rate)
    text_config = config.text.model_copy(update={"base": base, "tuning": tuning})
    config = config.model_copy(update={"text": text_config, "seed": seed})
    compute = choose(config.device)
    resolved = resolve_base(base)

    started = time.monotonic()
    torch.manual_seed(seed)
    encoder, tokenizer = load_encoder(resolved, text_config)
    texts = TokenizedTexts(data.catalogue.texts(), tokenizer, text_config)
    text = TrainableTextVectors(encoder, texts, learning_rate, compute, len(config.text_passes))
    before = text.vectors
    _, history = fit(
        data.train.sequences(),
        text,
        config,
        compute,
        validate=validation_metric(data.valid.sample(2_000, seed), config.tower.window),
    )
    run = {
        "base": base,
        "way": tuning,
        "seed": seed,
        "text_learning_rate": learning_rate,
        "valid_ndcg@10": round(history.best_quality(), 4),
        "best_epoch": history.best_epochs(),
        "judged": {
            str(int(e["epoch"])): round(e["ndcg@10"], 4) for e in history.epochs if "ndcg@10" in e
        },
        **tuned_change(encoder, before, text.vectors),
        "seconds": round(time.monotonic() - started, 1),
    }
    log(json.dumps(run))
    return run


if __name__ == "__main__":
    typer.run(main)
