"""Users whose data was erased, and the rows that must be left out because of it.

Erased users are recorded by a digest of their id, so that an erasure does not keep the id itself.
"""

import hashlib

import polars as pl

from recloop import columns as c
from recloop.data.frame_schemas import TIMESTAMP_TYPE

DIGEST, SEQ = "who", "seq"
# One row for each user: time and sequence number of the last erasure.
ERASED = pl.Schema({DIGEST: pl.String(), c.TIME: TIMESTAMP_TYPE, SEQ: pl.Int64()})


def user_digest(user_id: str) -> str:
    """Return the SHA-256 of a user id in hexadecimal, from which the id cannot be computed.

    >>> user_digest("user-1")[:16]
    'c6c289e49e9c05b2'
    """
    return hashlib.sha256(user_id.encode()).hexdigest()


def kept_by_time(rows: pl.DataFrame, erased: pl.DataFrame) -> pl.Series:
    """Return which rows may stay, as booleans: those of users not erased, or after the erasure.

    Args:
        rows: Rows with user and time. A row of an erased user without a time may not stay.
        erased: Erased users, in the schema `ERASED`.
    """
    return _kept(rows, erased, pl.col(c.TIME) > pl.col(f"{c.TIME}_erased"))


def kept_by_sequence(rows: pl.DataFrame, erased: pl.DataFrame) -> pl.Series:
    """Return which rows of the event store may stay: of users never erased, or stored since then.

    Args:
        rows: Rows with user and sequence number.
        erased: Erased users, in the schema `ERASED`.
    """
    return _kept(rows, erased, pl.col(SEQ) > pl.col(f"{SEQ}_erased"))


def _kept(rows: pl.DataFrame, erased: pl.DataFrame, later: pl.Expr) -> pl.Series:
    joined = rows.join(
        _with_ids(rows, erased), on=c.USER, how="left", suffix="_erased", maintain_order="left"
    )
    never_erased = pl.col(DIGEST).is_null()
    return joined.select((never_erased | later).fill_null(value=False).alias("kept")).to_series()


def _with_ids(rows: pl.DataFrame, erased: pl.DataFrame) -> pl.DataFrame:
    """Return the erased users who occur in the rows, with their ids."""
    digests = set(erased[DIGEST])
    users = rows[c.USER].drop_nulls().unique().to_list() if digests else []
    found = [(user, digest) for user in users if (digest := user_digest(user)) in digests]
    ids = pl.DataFrame(found, schema={c.USER: pl.String(), DIGEST: pl.String()}, orient="row")
    return ids.join(erased, on=DIGEST)
