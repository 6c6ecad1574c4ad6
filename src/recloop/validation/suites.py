"""What must hold of a snapshot. Critical rules stop the loop, warnings are only reported."""

import great_expectations as gx
import great_expectations.expectations as gxe
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.row_conditions import Column

from recloop import columns as c
from recloop.config import Settings
from recloop.data.snapshot import SnapshotConfig


class ValidateConfig(Settings):
    """Bounds of the rules; a source of other value ranges or sizes sets its own."""

    min_interactions: int = 1_000
    min_items: int = 50
    min_users: int = 20
    oldest: str = "1970-01-02T00:00:00Z"
    max_quarantined_share: float = 0.01


SHARE = "quarantined_share"
KNOWN_ITEM = "item_is_in_catalogue"


def interactions_suite(
    config: ValidateConfig, values: SnapshotConfig, now: str
) -> gx.ExpectationSuite:
    """Rules of the interactions that a model would be trained on."""
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
                column=KNOWN_ITEM, value_set=[True], mostly=0.99, severity="critical"
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
    """Rules of the catalogue."""
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
    """Rules of what came back through the service; an empty table passes."""
    return _suite(
        "feedback",
        [
            gxe.ExpectColumnValuesToBeUnique(column="event_id", severity="critical"),
            _rated_within(values),
            _in_time(config.oldest, now),
            gxe.ExpectColumnValuesToBeInSet(
                column=KNOWN_ITEM, value_set=[True], mostly=0.95, severity="warning"
            ),
        ],
    )


def quarantine_suite(config: ValidateConfig) -> gx.ExpectationSuite:
    """How much of the source may break the contract."""
    return _suite(
        "quarantine",
        [
            gxe.ExpectColumnValuesToBeBetween(
                column=SHARE, max_value=config.max_quarantined_share, severity="critical"
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
