"""Stage that fits tuned baselines and writes their lists for the test requests."""

import polars as pl

from recloop.config import read_block
from recloop.evaluation.evaluation_requests import Requests
from recloop.evaluation.report import DEPTH, to_predictions
from recloop.logs import get_log
from recloop.scoring.blend import EASE, ITEM_KNN, POPULARITY, SASREC
from recloop.scoring.top_k import top_k
from recloop.stages import files
from recloop.stages.training_data import read_training_data
from recloop.training.baselines import fit_baseline
from recloop.training.channels.fitted_channels import ChannelGrids, FittedChannels
from recloop.training.finetuning.sequence_model import TrainConfig

_BASELINES = (POPULARITY, ITEM_KNN, EASE, SASREC)

log = get_log("baselines")


def main() -> None:
    """Fit the baselines and write their lists and chosen settings.

    Reads data/split; writes artifacts/baselines.
    """
    grids, config = read_block("baselines", ChannelGrids), read_block("train", TrainConfig)
    data = read_training_data(config.event_weights)
    test_requests = pl.read_parquet(files.TEST_REQUESTS)
    requests = Requests.from_frame(test_requests, data.catalogue, repeats=not data.valid.masked)
    channels = FittedChannels(data, grids, config.seed)
    files.empty_folder(files.BASELINES)
    settings: dict[str, object] = {}
    for name in _BASELINES:
        baseline = fit_baseline(name, channels, config)
        settings[name] = baseline.setting
        log.info("tuned", model=name, setting=baseline.setting)
        lists = [
            to_predictions(*top_k(baseline.channel(batch), batch.excluded(), DEPTH), data.catalogue)
            for batch in requests.batches(data.items)
        ]
        pl.concat(lists).write_parquet(files.BASELINES / f"{name}.parquet")
    files.write_json(files.BASELINES / "chosen.json", settings)


if __name__ == "__main__":
    main()
