"""Tests of the data contract: rows that fit pass, others are quarantined with their reason."""

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recloop import columns as c
from recloop.data.contract import ContractError, conform_interactions, conform_items
from recloop.data.frame_schemas import INTERACTIONS
from recloop.data.snapshot import SnapshotConfig, split_by_time_share, take_snapshot
from recloop.data.sources import RawData, SourceConfig, SourceError, open_source

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def rows(**columns: list) -> pl.DataFrame:
    return pl.DataFrame({"user_id": ["u"], "item_id": ["i"], **columns})


@pytest.mark.parametrize(
    "given_time",
    [
        [1704110400],
        [1704110400.0],
        [1704110400000],
        ["1704110400"],
        ["2024-01-01T12:00:00Z"],
        ["2024-01-01T13:00:00+01:00"],
        [NOON],
        [NOON.replace(tzinfo=None)],
    ],
)
def test_every_common_form_of_time_is_read(given_time: list) -> None:
    conformed = conform_interactions(rows(timestamp=given_time))
    assert conformed.rows[c.TIME].to_list() == [NOON]
    assert conformed.rows.schema == INTERACTIONS


def test_bad_rows_are_quarantined_with_row_and_reason() -> None:
    raw = pl.DataFrame(
        {
            "user_id": ["u", " ", "u", "u", "u"],
            "item_id": ["i", "i", "i", "i", "i"],
            "timestamp": ["10", "10", "yesterday", "10", "10"],
            "event": ["click", "click", "click", "stare", "rating"],
            "value": ["", "", "", "", "five"],
        }
    )
    conformed = conform_interactions(raw)
    assert conformed.rows.height == 1
    assert conformed.quarantine.select(c.ROW, c.REASON).rows() == [
        (1, "user_id is empty"),
        (2, "timestamp is missing or unreadable"),
        (3, "event is unknown"),
        (4, "value is not a finite number"),
    ]
    assert conformed.quarantined_share == pytest.approx(4 / 5)
    assert '"yesterday"' in conformed.quarantine["raw"][1]


def test_a_missing_column_is_an_error_that_names_it() -> None:
    with pytest.raises(ContractError, match="timestamp"):
        conform_interactions(rows())


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.text(max_size=5)),
            st.one_of(st.none(), st.text(max_size=5)),
            st.one_of(st.none(), st.text(max_size=8), st.integers(0, 10**10).map(str)),
        ),
        max_size=20,
    )
)
def test_no_row_is_lost(table: list[tuple[str | None, str | None, str | None]]) -> None:
    schema = {"user_id": pl.String, "item_id": pl.String, "timestamp": pl.String}
    conformed = conform_interactions(pl.DataFrame(table, schema=schema, orient="row"))
    assert conformed.rows.height + conformed.quarantine.height == len(table)


def test_items_split_categories_and_refuse_duplicates() -> None:
    raw = pl.DataFrame(
        {
            "item_id": ["a", "a", "b"],
            "title": ["A", "A again", None],
            "categories": ["x| y", "", ""],
        }
    )
    conformed = conform_items(raw)
    assert conformed.rows[c.CATEGORIES].to_list() == [["x", "y"]]
    assert conformed.rows[c.AVAILABLE].to_list() == [True]
    assert conformed.quarantine[c.REASON].to_list() == ["item_id is a duplicate", "title is empty"]


def test_history_is_what_was_known_before_a_moment() -> None:
    raw = pl.DataFrame(
        {"user_id": list("uuuu"), "item_id": list("abcd"), "timestamp": [1, 2, 3, 4]}
    )
    known, later = split_by_time_share(conform_interactions(raw).rows, 0.5)
    assert known[c.ITEM].to_list() == ["a", "b"]
    assert later[c.ITEM].to_list() == ["c", "d"]


def test_feedback_joins_the_snapshot_without_impressions() -> None:
    raw = RawData(rows(timestamp=[10]), pl.DataFrame({"item_id": ["i"], "title": ["I"]}))
    events = conform_interactions(
        pl.DataFrame(
            {
                "user_id": ["v", "v"],
                "item_id": ["i", "i"],
                "timestamp": [20, 21],
                "event": ["impression", "purchase"],
            }
        )
    ).rows
    feedback = events.with_row_index("seq").with_columns(pl.lit("x").alias("event_id"))
    snapshot = take_snapshot(raw, feedback, SnapshotConfig())
    assert snapshot.interactions[c.EVENT].to_list() == ["click", "purchase"]
    assert snapshot.feedback.height == 2


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_folder_of_ones_own_is_read_with_its_own_column_names(kind, tmp_path) -> None:
    bought = pl.DataFrame({"customer": ["u"], "sku": ["i"], "at": [5]})
    goods = pl.DataFrame({"sku": ["i"], "name": ["I"]})
    for name, table in (("interactions", bought), ("items", goods)):
        getattr(table, f"write_{kind}")(tmp_path / f"{name}.{kind}")
    config = SourceConfig(
        kind=kind,
        folder=str(tmp_path),
        interactions={"user_id": "customer", "item_id": "sku", "timestamp": "at"},
        items={"item_id": "sku", "title": "name"},
    )
    raw = open_source(config, "").read()
    assert conform_interactions(raw.interactions).rows.height == 1
    assert conform_items(raw.items).rows[c.TITLE].to_list() == ["I"]


def test_a_wrong_mapping_and_a_missing_folder_are_named(tmp_path) -> None:
    pl.DataFrame({"a": [1]}).write_csv(tmp_path / "interactions.csv")
    wrong = SourceConfig(kind="csv", folder=str(tmp_path), interactions={"user_id": "customer"})
    with pytest.raises(SourceError, match="customer"):
        open_source(wrong, "").read()
    with pytest.raises(SourceError, match="nowhere"):
        open_source(SourceConfig(kind="csv", folder="nowhere"), "").read()
    with pytest.raises(SourceError, match="folder"):
        open_source(SourceConfig(kind="csv"), "")


def test_feedback_that_does_not_fit_is_quarantined_and_cannot_fail_validation() -> None:
    raw = RawData(rows(timestamp=[10]), pl.DataFrame({"item_id": ["i"], "title": ["I"]}))
    events = pl.DataFrame(
        {
            "user_id": ["v"] * 4,
            "item_id": ["i", "no such item", "i", "i"],
            "timestamp": [20, 21, 22, 23],
            "event": ["click", "click", "rating", "rating"],
            "value": [-7.0, None, 99.0, 4.0],
        }
    )
    feedback = (
        conform_interactions(events)
        .rows.with_row_index("seq")
        .with_columns(pl.lit("x").alias("event_id"))
    )
    snapshot = take_snapshot(raw, feedback, SnapshotConfig())
    assert snapshot.quarantine.select("table", c.ROW, c.REASON).rows() == [
        ("feedback", 1, "item is not in the catalogue"),
        ("feedback", 2, "rating is out of bounds"),
    ]
    assert snapshot.interactions[c.VALUE].to_list() == [None, -7.0, 4.0]


def test_available_is_read_from_words() -> None:
    words = ["true", "False", "1", "0", "", "perhaps"]
    ids = [str(n) for n in range(len(words))]
    conformed = conform_items(pl.DataFrame({"item_id": ids, "title": ids, "available": words}))
    assert conformed.rows[c.AVAILABLE].to_list() == [True, False, True, False, True]
    assert conformed.quarantine[c.REASON].to_list() == ["available is neither true nor false"]
