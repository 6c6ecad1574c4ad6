"""Users whose data was erased, and which rows that leaves out.

Knows them by pseudonym only: nobody's id is kept for having asked to be forgotten.
"""

import hashlib

import polars as pl

from recloop import columns as c

WHO, SEQ = "who", "seq"
# One row a user: when everything was erased last, and the sequence number that the erasure took.
ERASED = pl.Schema({WHO: pl.String(), c.TIME: c.TIMESTAMP_TYPE, SEQ: pl.Int64()})


def pseudonym(user_id: str) -> str:
    """SHA-256 of the id. Whoever has the id can recognise it; it cannot be read back."""
    return hashlib.sha256(user_id.encode()).hexdigest()


def keeps_by_time(rows: pl.DataFrame, erased: pl.DataFrame) -> pl.Series:
    """Which rows may stay: of users never erased, and those dated after the erasure.

    `rows` has user and time; a row of an erased user whose time is not known may not stay.
    """
    return _keeps(rows, erased, pl.col(c.TIME) > pl.col(f"{c.TIME}_erased"))


def keeps_by_number(rows: pl.DataFrame, erased: pl.DataFrame) -> pl.Series:
    """Which rows of the event store may stay: of users never erased, and those stored since."""
    return _keeps(rows, erased, pl.col(SEQ) > pl.col(f"{SEQ}_erased"))


def _keeps(rows: pl.DataFrame, erased: pl.DataFrame, later: pl.Expr) -> pl.Series:
    joined = rows.join(
        _by_id(rows, erased), on=c.USER, how="left", suffix="_erased", maintain_order="left"
    )
    never = pl.col(WHO).is_null()
    return joined.select((never | later).fill_null(value=False).alias("keeps")).to_series()


def _by_id(rows: pl.DataFrame, erased: pl.DataFrame) -> pl.DataFrame:
    """The erased among the users of these rows, with their ids."""
    known = set(erased[WHO])
    users = rows[c.USER].drop_nulls().unique().to_list() if known else []
    found = [(user, who) for user in users if (who := pseudonym(user)) in known]
    ids = pl.DataFrame(found, schema={c.USER: pl.String(), WHO: pl.String()}, orient="row")
    return ids.join(erased, on=WHO)
