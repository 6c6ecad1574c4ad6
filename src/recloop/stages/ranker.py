"""Ranker: where it is switched on, the language model learns to order the sequence model's first places.

It learns from training data alone, so that `export` can weigh it on validation data. Off, as by default,
nothing is trained and the next stages find that said.
"""

import polars as pl

from recloop import columns as c
from recloop.config import Settings, read_block
from recloop.data.catalogue import Catalogue
from recloop.data.split import SplitConfig
from recloop.data.trail import walked
from recloop.logs import get_log
from recloop.models.ranker import RankerConfig
from recloop.models.sequential import Sequential
from recloop.stages import files
from recloop.training import checkpoint
from recloop.training.device import choose
from recloop.training.examples import Examples, make_examples
from recloop.training.export import export_tower
from recloop.training.export_ranker import export_ranker
from recloop.training.moments import first_places, moments
from recloop.training.ranker import Ranker
from recloop.training.sequence import TrainConfig


class RankerStageConfig(Settings):
    """Whether there is a ranker, how many places it reads, and what it learns from and is weighed on."""

    enabled: bool = False
    depth: int = 20
    moments: int = 3_000
    judged: int = 500
    model: RankerConfig = RankerConfig(shown=5, max_tokens=48, epochs=1)


log = get_log("ranker")


def main() -> None:
    """artifacts/checkpoint and data/split/train.parquet → artifacts/ranker."""
    config, train_config = read_block("ranker", RankerStageConfig), read_block("train", TrainConfig)
    repeats = read_block("split", SplitConfig).repeats
    files.fresh(files.RANKER)
    if not config.enabled:
        files.write_json(files.RANKER_CARD, {"enabled": False})
        return
    ranker = Ranker(config.model, choose(train_config.device))
    looks = ranker.fit(
        _examples(config, train_config, repeats=repeats),
        progress=lambda look: log.info("look", **{n: round(v, 4) for n, v in look.items()}),
    )
    files.RANKER_MODEL.write_bytes(export_ranker(ranker.model))
    files.RANKER_TOKENIZER.write_text(ranker.model.tokenizer_json(), encoding="utf-8")
    files.write_json(
        files.RANKER_CARD,
        {
            "enabled": True,
            "depth": config.depth,
            "judged": config.judged,
            "shown": config.model.shown,
            "max_tokens": config.model.max_tokens,
            "looks": looks,
        },
    )


def _examples(config: RankerStageConfig, train_config: TrainConfig, *, repeats: bool) -> Examples:
    catalogue, tower = Catalogue(pl.read_parquet(files.ITEMS)), train_config.tower
    model, text = checkpoint.load_sequence_model(files.CHECKPOINT / files.TUNED, tower)
    exported = export_tower(model.tower, tower.dim, tower.window)
    channel = Sequential(exported, model.vectors(text).numpy(), tower.window).score
    trails = walked(pl.read_parquet(files.TRAIN), catalogue, repeats=repeats)
    requests, others = moments(trails, config.moments, config.model.seed)
    places = first_places(channel, requests, others, len(catalogue), config.depth)
    titles = catalogue.items[c.TITLE].fill_null("").to_list()
    return make_examples(requests, titles, catalogue.texts(), places, config.model)


if __name__ == "__main__":
    main()
