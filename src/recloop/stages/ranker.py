"""Stage that trains the ranker: a cross-encoder that re-ranks the top of the lists.

It uses training data only, so that `export` can choose its weight on validation data. If it is off,
as by default, nothing is trained and ranker.json has `enabled: false`.
"""

from recloop import columns as c
from recloop.config import ConfigModel, read_block
from recloop.logs import get_log
from recloop.stages import files
from recloop.stages.checkpoint import read_settings, read_tuned
from recloop.stages.training_data import read_training_data
from recloop.training.device import choose
from recloop.training.export.ranker_export import export_ranker
from recloop.training.finetuning.ranker_examples import RankerExamples, make_examples
from recloop.training.finetuning.sequence_model import TrainConfig
from recloop.training.finetuning.training_requests import sample_training_requests, top_candidates
from recloop.training.modules.cross_encoder import RankerConfig
from recloop.training.ranker import Ranker
from recloop.training.trained_sequence import sequence_scorer
from recloop.training.training_data import TrainingData


class RankerStageConfig(ConfigModel):
    """Settings of the stage that trains the ranker, a cross-encoder over user and item texts."""

    enabled: bool = False
    """Whether a ranker is trained. It is packaged if it helps on validation."""
    depth: int = 20
    """Number of items at the top of a list that are re-ranked."""
    training_requests: int = 3_000
    """Training requests that it learns from."""
    validation_requests: int = 500
    """Validation requests on which its weight is chosen."""
    model: RankerConfig = RankerConfig(history_length=5, max_tokens=48, epochs=1)
    """The ranker."""


log = get_log("ranker")


def main() -> None:
    """Train and export the ranker, if it is enabled.

    Reads artifacts/checkpoint, data/snapshot and data/split; writes artifacts/ranker.
    """
    config = read_block("ranker", RankerStageConfig)
    files.empty_folder(files.RANKER)
    if not config.enabled:
        files.write_json(files.RANKER_INFO, {"enabled": False})
        return
    train_config = read_settings()
    ranker = Ranker(config.model, choose(train_config.device))
    validations = ranker.fit(
        _examples(config, read_training_data(), train_config),
        progress=lambda entry: log.info(
            "validation", **{name: round(value, 4) for name, value in entry.items()}
        ),
    )
    files.RANKER_MODEL.write_bytes(export_ranker(ranker.model))
    files.RANKER_TOKENIZER.write_text(ranker.model.tokenizer_json(), encoding="utf-8")
    files.write_json(
        files.RANKER_INFO,
        {
            "enabled": True,
            "depth": config.depth,
            "validation_requests": config.validation_requests,
            "history_length": config.model.history_length,
            "max_tokens": config.model.max_tokens,
            "form": config.model.form,
            "start_tokens": ranker.model.start_tokens,
            "validations": validations,
        },
    )


def _examples(
    config: RankerStageConfig, data: TrainingData, train_config: TrainConfig
) -> RankerExamples:
    model, text, rows = read_tuned(train_config)
    scorer = sequence_scorer(model, text, rows, train_config, data.items)
    requests, other_items = sample_training_requests(
        data.train.sequences(), config.training_requests, config.model.seed
    )
    candidates = top_candidates(scorer.score, requests, other_items, data.items, config.depth)
    titles = data.catalogue.items[c.TITLE].fill_null("").to_list()
    return make_examples(requests, titles, data.catalogue.texts(), candidates, config.model)


if __name__ == "__main__":
    main()
