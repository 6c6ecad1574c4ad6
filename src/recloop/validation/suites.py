"""Rules for a snapshot. A failed critical rule stops the loop; warnings are only reported."""

import great_expectations as gx
import great_expectations.expectations as gxe
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.row_conditions import Column

from recloop import columns as c
from recloop.data.snapshot import SnapshotConfig
from recloop.validation.config import ITEM_IN_CATALOGUE, QUARANTINED_SHARE, ValidateConfig


def interactions_suite(
    config: ValidateConfig, values: SnapshotConfig, now: str
) -> gx.ExpectationSuite:
    """Return the rules for the interactions that a model is trained on.

    Args:
        config: Bounds of the rules.
        values: Settings of the snapshot, with the range of ratings.
        now: Latest time that an interaction may have, ISO 8601.
    """
    return _suite(
        "interactions",
        [
            gxe.ExpectTableRowCountToBeBetween(
                min_value=config.min_interactions, severity="critical"
            ),
            *(
                gxe.ExpectColumnValuesToNotBeNull(column=name, severity="critical")
                for name in (c.USER, c.ITEM, c.TIME, c.EVENT)
            ),
            _rated_within(values),
            _in_time(config.oldest, now),
            gxe.ExpectColumnValuesToBeInSet(
                column=c.EVENT, value_set=[event.value for event in c.Event], severity="critical"
            ),
            gxe.ExpectColumnValuesToBeInSet(
                column=ITEM_IN_CATALOGUE, value_set=[True], mostly=0.99, severity="critical"
            ),
            gxe.ExpectColumnUniqueValueCountToBeBetween(
                column=c.USER, min_value=config.min_users, severity="critical"
            ),
            gxe.ExpectCompoundColumnsToBeUnique(
                column_list=[c.USER, c.ITEM, c.TIME, c.EVENT], mostly=0.99, severity="warning"
            ),
        ],
    )


def items_suite(config: ValidateConfig) -> gx.ExpectationSuite:
    """Return the rules for the items."""
    return _suite(
        "items",
        [
            gxe.ExpectTableRowCountToBeBetween(min_value=config.min_items, severity="critical"),
            gxe.ExpectColumnValuesToNotBeNull(column=c.TITLE, severity="critical"),
            gxe.ExpectColumnValuesToBeUnique(column=c.ITEM, severity="critical"),
            gxe.ExpectColumnValueLengthsToBeBetween(
                column=c.TITLE, min_value=2, mostly=0.99, severity="warning"
            ),
            gxe.ExpectColumnValuesToNotBeNull(column=c.TEXT, mostly=0.5, severity="warning"),
        ],
    )


def feedback_suite(config: ValidateConfig, values: SnapshotConfig, now: str) -> gx.ExpectationSuite:
    """Return the rules for the feedback from the service (see `interactions_suite`).

    An empty table passes.
    """
    return _suite(
        "feedback",
        [
            gxe.ExpectColumnValuesToBeUnique(column="event_id", severity="critical"),
            _rated_within(values),
            _in_time(config.oldest, now),
            gxe.ExpectColumnValuesToBeInSet(
                column=ITEM_IN_CATALOGUE, value_set=[True], mostly=0.95, severity="warning"
            ),
        ],
    )


def quarantine_suite(config: ValidateConfig) -> gx.ExpectationSuite:
    """Return the rule for the share of the source's rows that may break the contract."""
    return _suite(
        "quarantine",
        [
            gxe.ExpectColumnValuesToBeBetween(
                column=QUARANTINED_SHARE,
                max_value=config.max_quarantined_share,
                severity="critical",
            )
        ],
    )


def _rated_within(values: SnapshotConfig) -> Expectation:
    return gxe.ExpectColumnValuesToBeBetween(
        column=c.VALUE,
        min_value=values.value_min,
        max_value=values.value_max,
        row_condition=Column(c.EVENT) == c.Event.RATING.value,
        severity="critical",
    )


def _in_time(oldest: str, now: str) -> Expectation:
    return gxe.ExpectColumnValuesToBeBetween(
        column=c.TIME, min_value=oldest, max_value=now, severity="critical"
    )


def _suite(name: str, rules: list[Expectation]) -> gx.ExpectationSuite:
    return gx.ExpectationSuite(name=name, expectations=rules)
