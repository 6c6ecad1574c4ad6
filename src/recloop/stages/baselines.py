"""What a user would take instead: tuned baselines, their answers to the test requests."""

from collections.abc import Sequence
from typing import Any

import polars as pl
import torch

from recloop.config import read_block
from recloop.data.catalogue import Catalogue
from recloop.data.split import SplitConfig
from recloop.data.trail import walked
from recloop.evaluation.offline import Requests
from recloop.evaluation.report import DEPTH, predictions
from recloop.logs import get_log
from recloop.models.item_item import ItemItem
from recloop.models.ranking import top_k
from recloop.models.scorer import Channel, by_history
from recloop.models.sequential import Sequential
from recloop.stages import files
from recloop.training import baselines
from recloop.training.device import choose
from recloop.training.export import export_tower
from recloop.training.finetune import fit
from recloop.training.item_item import fit_ease, fit_item_knn
from recloop.training.judge import judge_on
from recloop.training.sequence import FrozenText, TrainConfig

log = get_log("baselines")


def main() -> None:
    """data/split → artifacts/baselines/NAME.parquet and the settings that validation chose."""
    config = read_block("baselines", baselines.BaselinesConfig)
    train_config = read_block("train", TrainConfig)
    catalogue = Catalogue(pl.read_parquet(files.ITEMS))
    train, past = pl.read_parquet(files.TRAIN), files.past()
    repeats = read_block("split", SplitConfig).repeats
    valid, test = (
        Requests.encode(pl.read_parquet(path), catalogue, repeats=repeats)
        for path in (files.VALID_REQUESTS, files.TEST_REQUESTS)
    )
    valid = valid.sample(2_000, train_config.seed)

    train_matrix = baselines.user_item_matrix(train, catalogue)
    past_matrix = baselines.user_item_matrix(past, catalogue)
    models = {"popularity": by_history(baselines.popularity(past, catalogue))}
    chosen: dict[str, object] = {}
    grids: dict[str, tuple[baselines.Fit[Any, ItemItem[Any]], Sequence[float]]] = {
        "item-knn": (fit_item_knn, config.knn_neighbours),
        "ease": (fit_ease, config.ease_l2),
    }
    for name, (make, grid) in grids.items():
        tuned = baselines.tune(make, train_matrix, grid, config.decays, valid.judge)
        models[name] = by_history(make(past_matrix, tuned.setting, tuned.decay))
        chosen[name] = {
            "setting": tuned.setting,
            "decay": tuned.decay,
            "valid_ndcg@10": tuned.quality,
        }
        log.info("tuned", model=name, setting=tuned.setting, decay=tuned.decay)
    models["ids-only"], chosen["ids-only"] = _ids_only(train, past, valid, catalogue, train_config)

    files.fresh(files.BASELINES)
    for name, model in models.items():
        answers = [
            predictions(*top_k(model(part), part.forbidden(), DEPTH), catalogue)
            for part in test.parts(len(catalogue))
        ]
        pl.concat(answers).write_parquet(files.BASELINES / f"{name}.parquet")
    files.write_json(files.BASELINES / "chosen.json", chosen)


def _ids_only(
    train: pl.DataFrame,
    past: pl.DataFrame,
    valid: Requests,
    catalogue: Catalogue,
    config: TrainConfig,
) -> tuple[Channel, dict[str, float]]:
    """The same transformer as published: items in their order, without texts, events or times."""
    plain = {"use_text": False, "id_dropout": 0.0, "events": False, "gaps": False}
    tower = config.tower.model_copy(update=plain)
    config = config.model_copy(update={"tower": tower})
    compute = choose(config.device)
    no_text = FrozenText(torch.zeros(len(catalogue), 1, device=compute.device))
    judge = judge_on(valid, tower.window)
    before, later = (walked(known, catalogue, repeats=not valid.masked) for known in (train, past))
    tuned, history = fit(before, no_text, config, compute, judge=judge)
    epochs = history.best_epochs()
    log.info("tuned", model="ids-only", epochs=epochs)
    newer = config.continuing(epochs)
    model, _ = fit(later, no_text, newer, compute, start=tuned)
    vectors = model.vectors(no_text.vectors).cpu().numpy()
    scorer = Sequential(export_tower(model.tower, tower.dim, tower.window), vectors, tower.window)
    return scorer.score, {"epochs": epochs, "valid_ndcg@10": history.best_quality()}


if __name__ == "__main__":
    main()
