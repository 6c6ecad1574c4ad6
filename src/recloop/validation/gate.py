"""Runs expectation suites on tables, writes Data Docs, and lists the rules that failed."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import great_expectations as gx
import polars as pl

from recloop.validation.result import RuleFailure, ValidationResult

# Rows listed in a failure; the Data Docs list more.
_MAX_ROWS = 20


def validate(
    tables: Mapping[str, tuple[pl.DataFrame, gx.ExpectationSuite]],
    keys: Mapping[str, list[str]],
    docs: Path,
) -> ValidationResult:
    """Check each table against its suite and build Data Docs.

    Args:
        tables: Table and suite, by name.
        keys: Columns that identify a row in a failure, by name of the table.
        docs: Folder for the Data Docs.
    """
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    context.add_data_docs_site("local", _site(docs))
    failures: list[RuleFailure] = []
    rules = 0
    for name, (frame, suite) in tables.items():
        source = context.data_sources.add_pandas(name)
        batches = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
        definition = context.validation_definitions.add(
            gx.ValidationDefinition(name=name, data=batches, suite=context.suites.add(suite))
        )
        checkpoint = context.checkpoints.add(
            gx.Checkpoint(
                name=name,
                validation_definitions=[definition],
                result_format={
                    "result_format": "COMPLETE",
                    "unexpected_index_column_names": keys.get(name, []),
                },
                actions=[gx.checkpoint.UpdateDataDocsAction(name="docs")],
            )
        )
        outcome = checkpoint.run(batch_parameters={"dataframe": frame.to_pandas()})
        (result,) = outcome.run_results.values()
        rules += len(result.results)
        failures += [_failure(name, rule) for rule in result.results if not rule.success]
    context.build_data_docs()
    critical = any(failure.severity == "critical" for failure in failures)
    return ValidationResult(passed=not critical, rules=rules, failures=failures)


def _site(docs: Path) -> dict[str, object]:
    return {
        "class_name": "SiteBuilder",
        "store_backend": {
            "class_name": "TupleFilesystemStoreBackend",
            "base_directory": str(docs.resolve()),
        },
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }


def _failure(suite: str, rule: Any) -> RuleFailure:  # noqa: ANN401 - GX's result is untyped
    config = rule.expectation_config
    found = rule.result or {}
    column = config.kwargs.get("column")
    rows = [_row(row) for row in found.get("unexpected_index_list") or []]
    if not rows:
        rows = [{"observed": found.get("observed_value", _exception(rule))}]
    return RuleFailure(
        suite=suite,
        rule=config.type,
        column=column,
        severity=config.severity,
        count=int(found.get("unexpected_count") or 0),
        rows=[{key: _plain(value) for key, value in row.items()} for row in rows[:_MAX_ROWS]],
    )


def _row(row: dict[str, Any] | int) -> dict[str, Any]:
    """Return the key columns of a row, or its number if the table has no key."""
    return dict(row) if isinstance(row, dict) else {"row": row}


def _exception(rule: Any) -> str:  # noqa: ANN401 - GX's result is untyped
    return str(rule.exception_info)[:200]


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float | bool | None) else str(value)
