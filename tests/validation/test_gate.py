"""Tests of validation with the real Great Expectations: pass, warn, or stop and name the rows."""

import warnings
from pathlib import Path

import polars as pl
import pytest

from recloop import columns as c
from recloop.data.contract import conform_interactions, conform_items
from recloop.data.snapshot import SnapshotConfig
from recloop.validation.config import ITEM_IN_CATALOGUE, QUARANTINED_SHARE, ValidateConfig
from recloop.validation.result import ValidationResult
from tests.support import synthetic_shop

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Great Expectations warns of itself when it is imported
    from recloop.validation import suites
    from recloop.validation.gate import validate

CONFIG = ValidateConfig()
VALUES = SnapshotConfig()
NOW = "2026-01-01T00:00:00Z"
GOOD = conform_interactions(synthetic_shop.interactions()).rows.with_columns(
    pl.lit(value=True).alias(ITEM_IN_CATALOGUE)
)
ITEMS = conform_items(synthetic_shop.items()).rows


def run_checks(
    docs: Path, interactions: pl.DataFrame = GOOD, items: pl.DataFrame = ITEMS
) -> ValidationResult:
    tables = {
        "interactions": (interactions, suites.interactions_suite(CONFIG, VALUES, NOW)),
        "items": (items, suites.items_suite(CONFIG)),
    }
    return validate(tables, {"interactions": [c.USER, c.ITEM, c.TIME]}, docs)


def at_row(row: int, column: str, value: object) -> pl.DataFrame:
    here = pl.int_range(pl.len()) == row
    return GOOD.with_columns(
        pl.when(here).then(pl.lit(value)).otherwise(pl.col(column)).alias(column)
    )


def test_good_data_passes_and_is_documented(tmp_path) -> None:
    verdict = run_checks(tmp_path)
    assert verdict.passed
    assert verdict.failures == []
    assert "interactions" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_one_bad_row_fails_validation_and_is_named(tmp_path) -> None:
    verdict = run_checks(tmp_path, at_row(77, c.VALUE, 99.0))
    assert not verdict.passed
    (failure,) = verdict.failures
    assert (failure.rule, failure.column, failure.severity, failure.count) == (
        "expect_column_values_to_be_between",
        c.VALUE,
        "critical",
        1,
    )
    assert failure.rows[0][c.USER] == GOOD[c.USER][77]
    assert failure.rows[0][c.ITEM] == GOOD[c.ITEM][77]
    assert GOOD[c.USER][77] in verdict.reasons()[0]


def test_a_warning_is_reported_and_does_not_fail_validation(tmp_path) -> None:
    short = ITEMS.with_columns(pl.lit(None, dtype=pl.String).alias(c.TEXT))
    verdict = run_checks(tmp_path, items=short)
    assert verdict.passed
    assert [failure.severity for failure in verdict.failures] == ["warning"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("interactions", "rule"),
    [
        (GOOD.head(10), "expect_table_row_count_to_be_between"),
        (GOOD.drop(c.USER), "expect_column_values_to_not_be_null"),
        (at_row(3, c.EVENT, "stare"), "expect_column_values_to_be_in_set"),
        (
            GOOD.with_columns(pl.lit(value=False).alias(ITEM_IN_CATALOGUE)),
            "expect_column_values_to_be_in_set",
        ),
        (
            GOOD.with_columns(pl.col(c.TIME).dt.offset_by("50y")),
            "expect_column_values_to_be_between",
        ),
    ],
)
def test_each_critical_rule_stops(tmp_path, interactions, rule) -> None:
    verdict = run_checks(tmp_path, interactions)
    assert not verdict.passed
    assert rule in {failure.rule for failure in verdict.failures if failure.severity == "critical"}


def test_empty_feedback_and_a_large_quarantine(tmp_path) -> None:
    feedback = GOOD.clear().with_columns(pl.lit("x").alias("event_id"))
    share = pl.DataFrame({QUARANTINED_SHARE: [0.02]})
    tables = {
        "feedback": (feedback, suites.feedback_suite(CONFIG, VALUES, NOW)),
        "quarantine": (share, suites.quarantine_suite(CONFIG)),
    }
    verdict = validate(tables, {}, tmp_path)
    assert [failure.suite for failure in verdict.failures] == ["quarantine"]
    assert verdict.failures[0].rows == [{"row": 0}]
