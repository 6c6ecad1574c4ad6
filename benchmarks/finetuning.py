"""The ways of tuning the language model beside each other, as JSON.

`python benchmarks/finetuning.py --way lora --way full --seed 1` takes the split that the stages
make of all of the source's data, trains on its train part by each way, and prints the NDCG@10 on
its validation part, the seconds it took and how far the language model moved.
"""

import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any, get_args

import torch
import typer
import yaml

from recloop.config import read_block
from recloop.settings import read_settings
from recloop.stages.training_data import read_training_data
from recloop.training.base_models import Tuning, resolve_base
from recloop.training.checkpoint import tuned_change
from recloop.training.device import choose
from recloop.training.finetuning.auto_settings import settings_from_data
from recloop.training.finetuning.fit import fit
from recloop.training.finetuning.sequence_model import TrainConfig
from recloop.training.finetuning.trainable_text import TunedText
from recloop.training.finetuning.validation import judge_on
from recloop.training.modules.text_encoder import TokenizedTexts, load_encoder

CHECKOUT = Path(__file__).resolve().parent.parent
# What few new weights need is too much for all of the old ones; AdaLoRA begins at the smallest change.
RATES = {"full": 2e-5, "adalora": 5e-3, "adapter": 1e-3, "prefix": 1e-2}


def main(
    way: Annotated[list[str] | None, typer.Option(help="Repeatable; by default all.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Repeatable.")] = None,
    base: Annotated[str, typer.Option(help="minilm, smollm2, an id or a folder.")] = "minilm",
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
) -> None:
    """Run and print."""
    ways = [t for t in get_args(Tuning) if way is None or t in way]
    with tempfile.TemporaryDirectory() as folder:
        _split(Path(folder))
        runs = [_run(Path(folder), base, t, s) for t in ways for s in seed or [42]]
    machine = {
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
    command = " ".join(["python", "benchmarks/finetuning.py", *sys.argv[1:]])
    document = json.dumps({"command": command, "machine": machine, "runs": runs}, indent=2)
    if out:
        out.write_text(document + "\n", encoding="utf-8")
    print(document)


def _split(folder: Path) -> None:
    params = yaml.safe_load(CHECKOUT.joinpath("params.yaml").read_text(encoding="utf-8"))
    params["snapshot"]["history"] = 1.0
    folder.joinpath("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    # The sources that are downloaded already, but none of the feedback.
    sources = read_settings().home.sources
    sources.mkdir(parents=True, exist_ok=True)
    home = folder / "home"
    home.mkdir()
    home.joinpath("sources").symlink_to(sources)
    paths = {"RECLOOP_HOME": str(home), "PYTHONPATH": str(CHECKOUT / "src")}
    for stage in ("snapshot", "split"):
        command = [sys.executable, "-m", f"recloop.stages.{stage}"]
        subprocess.run(command, cwd=folder, env={**os.environ, **paths}, check=True)


def _run(folder: Path, base: str, way: str, seed: int) -> dict[str, Any]:
    with contextlib.chdir(folder):
        data = read_training_data()
    config = read_block("train", TrainConfig, folder / "params.yaml")
    config = settings_from_data(config, data.train, data.items)
    rate = RATES.get(way, config.text_learning_rate)
    text_config = config.text.model_copy(update={"base": base, "tuning": way})
    config = config.model_copy(update={"text": text_config, "seed": seed})
    compute = choose(config.device)
    resolved = resolve_base(base)

    started = time.monotonic()
    torch.manual_seed(seed)
    encoder, tokenizer = load_encoder(resolved, text_config)
    texts = TokenizedTexts(data.catalogue.texts(), tokenizer, text_config)
    text = TunedText(encoder, texts, rate, compute, len(config.text_passes))
    before = text.vectors
    _, history = fit(
        data.train.sequences(),
        text,
        config,
        compute,
        judge=judge_on(data.valid.sample(2_000, seed), config.tower.window),
    )
    run = {
        "base": base,
        "way": way,
        "seed": seed,
        "text_learning_rate": rate,
        "valid_ndcg@10": round(history.best_quality(), 4),
        "best_epoch": history.best_epochs(),
        "judged": {
            str(int(e["epoch"])): round(e["ndcg@10"], 4) for e in history.epochs if "ndcg@10" in e
        },
        **tuned_change(encoder, before, text.vectors),
        "seconds": round(time.monotonic() - started, 1),
    }
    print(json.dumps(run), file=sys.stderr)
    return run


if __name__ == "__main__":
    typer.run(main)
