"""Contract of interactions and items: converts the raw tables of a source to fixed schemas.

A row that does not fit is returned as quarantined, with its reason; no row is dropped silently.
This module reads no files and depends on no data set.
"""

from dataclasses import dataclass
from functools import reduce

import polars as pl

from recloop import columns as c
from recloop.data.frame_schemas import INTERACTIONS, ITEMS, TIMESTAMP_TYPE

# Numbers from here on are epoch milliseconds; as seconds, they would lie beyond the year 5000.
_MILLISECONDS_FROM = 1e11


class ContractError(ValueError):
    """Raised when a table cannot fit the contract at all, for example without a required column."""


@dataclass(frozen=True)
class ConformedTable:
    """Table that was converted to a schema of the contract.

    Attributes:
        rows: Rows that fit the contract.
        quarantine: The other rows: row number in the source, reason, and the row as JSON.
    """

    rows: pl.DataFrame
    quarantine: pl.DataFrame

    @property
    def quarantined_share(self) -> float:
        """Share of the source's rows that were quarantined, in [0, 1]."""
        total = self.rows.height + self.quarantine.height
        return self.quarantine.height / total if total else 0.0


def conform_interactions(
    raw: pl.DataFrame, default_event: c.Event = c.Event.CLICK
) -> ConformedTable:
    """Convert a table with the column names of the contract to the schema of interactions.

    Timestamps may be datetimes, ISO 8601 strings, or epoch seconds or milliseconds.

    Args:
        raw: Table with at least user_id, item_id and timestamp.
        default_event: Event of all rows of a table without an event column.

    Returns:
        Rows in the schema `recloop.columns.INTERACTIONS`, by time; equal times keep the order of
        the source.

    Raises:
        ContractError: The column of users, items or timestamps is missing.

    >>> raw = pl.DataFrame({"user_id": ["u", ""], "item_id": ["i", "i"], "timestamp": [60, 120]})
    >>> table = conform_interactions(raw)
    >>> table.rows["timestamp"].to_list()
    [datetime.datetime(1970, 1, 1, 0, 1, tzinfo=zoneinfo.ZoneInfo(key='UTC'))]
    >>> table.quarantine["reason"].to_list()
    ['user_id is empty']
    """
    _require(raw, (c.USER, c.ITEM, c.TIME))
    if c.EVENT not in raw.columns:
        raw = raw.with_columns(pl.lit(default_event.value).alias(c.EVENT))
    typed = raw.with_row_index(c.ROW).select(
        c.ROW,
        _text(c.USER),
        _text(c.ITEM),
        _time(raw, c.TIME),
        _text(c.EVENT).str.to_lowercase(),
        *(_optional(raw, name) for name in (c.VALUE, c.QUERY, c.SESSION, c.REQUEST)),
    )
    checks = {
        "user_id is empty": pl.col(c.USER).is_null(),
        "item_id is empty": pl.col(c.ITEM).is_null(),
        "timestamp is missing or unreadable": pl.col(c.TIME).is_null(),
        "event is unknown": ~pl.col(c.EVENT).is_in(list(c.Event)) | pl.col(c.EVENT).is_null(),
        "value is not a finite number": _unreadable_number(raw, c.VALUE)
        | pl.col(c.VALUE).is_infinite().fill_null(value=False)
        | pl.col(c.VALUE).is_nan().fill_null(value=False),
    }
    conformed = _separate(typed, raw, checks)
    ordered = conformed.rows.sort(c.TIME, maintain_order=True).cast(INTERACTIONS)
    return ConformedTable(ordered, conformed.quarantine)


def users_and_times(raw: pl.DataFrame) -> pl.DataFrame:
    """Return the columns user_id and timestamp as the contract reads them; null where it cannot.

    Args:
        raw: A table with the column user_id, and timestamp if it has times.
    """
    return raw.select(_text(c.USER), _time(raw, c.TIME))


def conform_items(raw: pl.DataFrame) -> ConformedTable:
    """Convert a table with the column names of the contract to the schema of items.

    Of several rows with the same id, the first one is kept.

    Args:
        raw: Table with at least item_id and title. `categories` may be lists, or strings separated
            by `|`.

    Returns:
        Rows in the schema `recloop.columns.ITEMS`, in the order of the source.

    Raises:
        ContractError: The column of ids or of titles is missing.
    """
    _require(raw, (c.ITEM, c.TITLE))
    typed = raw.with_row_index(c.ROW).select(
        c.ROW,
        _text(c.ITEM),
        _text(c.TITLE),
        _optional(raw, c.TEXT),
        _categories(raw),
        _optional(raw, c.ATTRIBUTES),
        _time(raw, c.PUBLISHED),
        _time(raw, c.EXPIRES),
        (
            _boolean(c.AVAILABLE)
            if c.AVAILABLE in raw.columns
            else pl.lit(value=True).alias(c.AVAILABLE)
        ),
    )
    checks = {
        "item_id is empty": pl.col(c.ITEM).is_null(),
        "title is empty": pl.col(c.TITLE).is_null(),
        "item_id is a duplicate": ~pl.col(c.ITEM).is_first_distinct(),
        "available is neither true nor false": pl.col(c.AVAILABLE).is_null(),
    }
    conformed = _separate(typed, raw, checks)
    return ConformedTable(conformed.rows.cast(ITEMS), conformed.quarantine)


def _separate(typed: pl.DataFrame, raw: pl.DataFrame, checks: dict[str, pl.Expr]) -> ConformedTable:
    """Separate the rows that fail a check; the reason is the first check that fails.

    Args:
        typed: Rows with the columns of the contract.
        raw: The same rows with the columns of the source.
        checks: Condition of failure by reason.
    """
    reason = reduce(
        lambda otherwise, check: pl.when(check[1]).then(pl.lit(check[0])).otherwise(otherwise),
        reversed(checks.items()),
        pl.lit(None, dtype=pl.String),
    )
    checked = pl.concat([raw.select(pl.struct(pl.all()).alias("_raw")), typed], how="horizontal")
    checked = checked.with_columns(reason.alias(c.REASON))
    good = checked.filter(pl.col(c.REASON).is_null()).drop("_raw", c.REASON, c.ROW)
    bad = checked.filter(pl.col(c.REASON).is_not_null())
    return ConformedTable(
        good, bad.select(c.ROW, c.REASON, pl.col("_raw").struct.json_encode().alias("raw"))
    )


def _require(raw: pl.DataFrame, names: tuple[str, ...]) -> None:
    missing = [name for name in names if name not in raw.columns]
    if missing:
        raise ContractError(
            f"missing columns: {', '.join(missing)}; found: {', '.join(raw.columns)}"
        )


def _text(name: str) -> pl.Expr:
    stripped = pl.col(name).cast(pl.String).str.strip_chars()
    return pl.when(stripped != "").then(stripped).alias(name)


def _boolean(name: str) -> pl.Expr:
    word = pl.col(name).cast(pl.String).str.strip_chars().str.to_lowercase().fill_null("")
    return (
        pl.when(word.is_in(["true", "1", "yes", ""]))
        .then(pl.lit(value=True))
        .when(word.is_in(["false", "0", "no"]))
        .then(pl.lit(value=False))
        .alias(name)
    )


def _optional(raw: pl.DataFrame, name: str) -> pl.Expr:
    kind = INTERACTIONS.get(name) or ITEMS[name]
    if name not in raw.columns:
        return pl.lit(None, dtype=kind).alias(name)
    return _text(name) if kind == pl.String() else pl.col(name).cast(kind, strict=False)


def _unreadable_number(raw: pl.DataFrame, name: str) -> pl.Expr:
    if name not in raw.columns or raw.schema[name].is_numeric():
        return pl.lit(value=False)
    given = pl.col("_raw").struct.field(name).cast(pl.String).str.strip_chars()
    return (given != "").fill_null(value=False) & pl.col(name).is_null()


def _time(raw: pl.DataFrame, name: str) -> pl.Expr:
    if name not in raw.columns:
        return pl.lit(None, dtype=TIMESTAMP_TYPE).alias(name)
    kind = raw.schema[name]
    if isinstance(kind, pl.Datetime):
        column = pl.col(name)
        local = column.dt.replace_time_zone("UTC") if kind.time_zone is None else column
        return local.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    number = pl.col(name).cast(pl.Float64, strict=False)
    seconds = pl.when(number.abs() >= _MILLISECONDS_FROM).then(number / 1000).otherwise(number)
    sane = pl.when(seconds.is_finite() & (seconds.abs() < _MILLISECONDS_FROM)).then(seconds)
    from_epoch = (sane * 1_000_000).cast(pl.Int64).cast(TIMESTAMP_TYPE)
    if kind == pl.String():
        from_text = (
            pl.col(name)
            .str.strip_chars()
            .str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
        )
        return pl.coalesce(from_epoch, from_text).alias(name)
    return from_epoch.alias(name)


def _categories(raw: pl.DataFrame) -> pl.Expr:
    if c.CATEGORIES not in raw.columns:
        return pl.lit([], dtype=pl.List(pl.String)).alias(c.CATEGORIES)
    column = pl.col(c.CATEGORIES)
    if not isinstance(raw.schema[c.CATEGORIES], pl.List):
        column = column.cast(pl.String).str.split("|")
    trimmed = column.list.eval(pl.element().str.strip_chars()).list.drop_nulls()
    return trimmed.list.eval(pl.element().filter(pl.element() != "")).fill_null([])
