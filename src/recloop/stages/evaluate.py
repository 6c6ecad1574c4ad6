"""Stage that measures the predicted lists: metrics with intervals, for recloop and baselines."""

import polars as pl

from recloop.config import read_block
from recloop.data.catalogue import Catalogue
from recloop.evaluation.report import (
    PRIMARY_METRIC,
    RECLOOP,
    EvaluateConfig,
    measure_models,
    ndcg_differences,
)
from recloop.stages import files
from recloop.stages.training_data import read_training_data


def main() -> None:
    """Measure the lists of recloop and of every baseline.

    Reads artifacts/predictions and artifacts/baselines; writes reports/metrics.json and
    reports/models.csv.
    """
    config = read_block("evaluate", EvaluateConfig)
    catalogue = Catalogue(pl.read_parquet(files.ITEMS))
    test_requests = pl.read_parquet(files.TEST_REQUESTS)
    predictions = pl.read_parquet(files.PREDICTIONS / f"{RECLOOP}.parquet")
    baselines = {
        path.stem: pl.read_parquet(path) for path in sorted(files.BASELINES.glob("*.parquet"))
    }
    popularity = read_training_data().past.counts()
    models = measure_models(
        {RECLOOP: predictions, **baselines}, test_requests, catalogue, config, popularity
    )
    files.write_json(
        files.METRICS,
        {
            "protocol": files.read_json(files.SPLIT_INFO)["protocol"],
            "requests": test_requests.height,
            "items": len(catalogue),
            "models": models,
            "ahead_of": ndcg_differences(predictions, baselines, test_requests, catalogue, config),
        },
    )
    pl.DataFrame(
        [
            {"model": name, PRIMARY_METRIC: values[PRIMARY_METRIC]["value"]}
            for name, values in models.items()
        ]
    ).write_csv(files.MODELS_TABLE)


if __name__ == "__main__":
    main()
