"""Comparison of challenger and champion on requests later than the champion's training data.

It is not a stage of `dvc.yaml`, because the champion depends on the registry and not on the data.
"""

from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from recloop import columns as c
from recloop.config import read_block
from recloop.data.catalogue import Catalogue
from recloop.evaluation.report import RECLOOP, EvaluateConfig, measure_models, ndcg_differences
from recloop.registry.model_config import read_model_config
from recloop.stages import files, recommend

CHALLENGER, CHAMPION = "challenger", "champion"


def main(champion: Annotated[Path, typer.Option(help="Folder of the champion's model.")]) -> None:
    """Measure challenger and champion on the same requests.

    Reads artifacts/predictions and the champion; writes reports/comparison.json.
    """
    config = read_block("evaluate", EvaluateConfig)
    catalogue = Catalogue(pl.read_parquet(files.ITEMS))
    recommend.main(champion, files.CHAMPION_PREDICTIONS)
    test_requests = pl.read_parquet(files.TEST_REQUESTS)
    is_later = test_requests[c.TIME] > read_model_config(champion).trained_until
    predictions = {
        name: pl.read_parquet(folder / f"{RECLOOP}.parquet").filter(is_later)
        for name, folder in (
            (CHALLENGER, files.PREDICTIONS),
            (CHAMPION, files.CHAMPION_PREDICTIONS),
        )
    }
    test_requests = test_requests.filter(is_later)
    challenger_lists, champion_lists = predictions[CHALLENGER], predictions[CHAMPION]
    document: dict[str, Any] = {"requests": test_requests.height}
    if test_requests.height:
        difference = ndcg_differences(
            challenger_lists, {CHAMPION: champion_lists}, test_requests, catalogue, config
        )
        document |= {"models": measure_models(predictions, test_requests, catalogue, config)}
        document |= {"difference": difference[CHAMPION]}
    files.write_json(files.COMPARISON, document)


if __name__ == "__main__":
    typer.run(main)
