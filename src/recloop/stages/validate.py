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
    values = read_block("snapshot", SnapshotConfig)
    now = (datetime.now(UTC) + c.CLOCK_SKEW).isoformat()
    items = pl.read_parquet(files.ITEMS)
    share = files.read_json(files.SNAPSHOT_FACTS)[QUARANTINED_SHARE]
    tables = {
        "interactions": (
            _with_known(files.INTERACTIONS, items),
            suites.interactions_suite(config, values, now),
        ),
        "items": (items, suites.items_suite(config)),
        "feedback": (
            _with_known(files.FEEDBACK, items),
            suites.feedback_suite(config, values, now),
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
    verdict = validate(tables, keys, files.fresh(files.DATA_DOCS))
    files.write_json(files.VALIDATION, verdict.model_dump(mode="json"))
    for reason in verdict.reasons():
        get_log("validate").warning("rule broken", reason=reason)
    if not verdict.passed:
        sys.exit(1)


def _with_known(path: Path, items: pl.DataFrame) -> pl.DataFrame:
    known = pl.col(c.ITEM).is_in(items[c.ITEM].implode()).alias(ITEM_IN_CATALOGUE)
    return pl.read_parquet(path).with_columns(known)


if __name__ == "__main__":
    main()
