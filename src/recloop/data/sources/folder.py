"""Source that reads a folder with `interactions.csv` and `items.csv`, or the same as Parquet."""

from pathlib import Path

import polars as pl

from recloop.data.sources.base import RawData, SourceConfig, SourceError


class FolderSource:
    """Reads interactions and items from a folder and renames their columns.

    Raises:
        SourceError: The settings name no folder.
    """

    def __init__(self, config: SourceConfig) -> None:
        if not config.folder:
            raise SourceError(
                f"snapshot.source.folder is needed for a {config.kind} source; set it to the folder"
                f" that holds interactions.{config.kind} and items.{config.kind}"
            )
        self._config = config
        self._folder = Path(config.folder).expanduser()

    def read(self) -> RawData:
        """Read both tables.

        Raises:
            SourceError: A file cannot be read, or lacks a column that the settings name.
        """
        return RawData(
            self._table("interactions", self._config.interactions),
            self._table("items", self._config.items),
        )

    def _table(self, name: str, mapping: dict[str, str]) -> pl.DataFrame:
        path = self._folder / f"{name}.{self._config.kind}"
        try:
            if self._config.kind == "csv":
                table = pl.read_csv(path, infer_schema=False)
            else:
                table = pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise SourceError(f"cannot read {path}: {error}") from error
        missing = sorted(set(mapping.values()) - set(table.columns))
        if missing:
            raise SourceError(f"{path} has no column {', '.join(missing)}; it has {table.columns}")
        renamed = {theirs: ours for ours, theirs in mapping.items()}
        clash = [
            ours for theirs, ours in renamed.items() if ours in table.columns and ours != theirs
        ]
        return table.drop(clash).rename(renamed)
