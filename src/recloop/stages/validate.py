"""Stage that validates the snapshot; a failed critical expectation ends the pipeline."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from recloop import columns as c
from recloop.config import read_block
from recloop.data.snapshot import SnapshotConfig
from recloop.logs import get_log
from recloop.stages import files
from recloop.validation.config import ITEM_IN_CATALOGUE, QUARANTINED_SHARE, ValidateConfig


def main() -> None:
    """Validate the snapshot; exit with code 1 if a critical expectation fails.

    Reads data/snapshot; writes reports/validation.json and reports/data-docs.
    """
    # Great Expectations takes seconds to import, which importing this module should not.
    from recloop.validation import suites
    from recloop.validation.gate import validate

    config = read_block("validate", ValidateConfig)
    snapshot_config = read_block("snapshot", SnapshotConfig)
    now = (datetime.now(UTC) + c.CLOCK_SKEW).isoformat()
    items = pl.read_parquet(files.ITEMS)
    share = files.read_json(files.SNAPSHOT_INFO)[QUARANTINED_SHARE]
    tables = {
        "interactions": (
            _read_with_catalogue_flag(files.INTERACTIONS, items),
            suites.interactions_suite(config, snapshot_config, now),
        ),
        "items": (items, suites.items_suite(config)),
        "feedback": (
            _read_with_catalogue_flag(files.FEEDBACK, items),
            suites.feedback_suite(config, snapshot_config, now),
        ),
        "quarantine": (
            pl.DataFrame({QUARANTINED_SHARE: [share]}),
            suites.quarantine_suite(config),
        ),
    }
    keys = {
        "interactions": [c.USER, c.ITEM, c.TIME],
        "items": [c.ITEM],
        "feedback": ["event_id"],
    }
    report = validate(tables, keys, files.empty_folder(files.DATA_DOCS))
    files.write_json(files.VALIDATION, report.model_dump(mode="json"))
    for reason in report.reasons():
        get_log("validate").warning("rule broken", reason=reason)
    if not report.passed:
        sys.exit(1)


def _read_with_catalogue_flag(path: Path, items: pl.DataFrame) -> pl.DataFrame:
    in_catalogue = pl.col(c.ITEM).is_in(items[c.ITEM].implode()).alias(ITEM_IN_CATALOGUE)
    return pl.read_parquet(path).with_columns(in_catalogue)


if __name__ == "__main__":
    main()
