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
from recloop.evaluation.report import OURS, EvaluateConfig, differences, table
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
    asked = pl.read_parquet(files.TEST_REQUESTS)
    later = asked[c.TIME] > read_model_config(champion).trained_until
    predicted = {
        name: pl.read_parquet(folder / f"{OURS}.parquet").filter(later)
        for name, folder in (
            (CHALLENGER, files.PREDICTIONS),
            (CHAMPION, files.CHAMPION_PREDICTIONS),
        )
    }
    asked = asked.filter(later)
    challenger, rival = predicted[CHALLENGER], predicted[CHAMPION]
    document: dict[str, Any] = {"requests": asked.height}
    if asked.height:
        difference = differences(challenger, {CHAMPION: rival}, asked, catalogue, config)
        document |= {"models": table(predicted, asked, catalogue, config)}
        document |= {"difference": difference[CHAMPION]}
    files.write_json(files.COMPARISON, document)


if __name__ == "__main__":
    typer.run(main)
