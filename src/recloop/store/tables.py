"""The tables of the store, each said once, and how moments are written in them."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from recloop import columns as c

metadata = sa.MetaData()
_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
events = sa.Table(
    "events",
    metadata,
    sa.Column("seq", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("event_id", sa.Text, nullable=False, unique=True),
    sa.Column(c.USER, sa.Text, nullable=False),
    sa.Column(c.ITEM, sa.Text, nullable=False),
    sa.Column("micros", sa.BigInteger, nullable=False),
    sa.Column(c.EVENT, sa.Text, nullable=False),
    sa.Column(c.VALUE, sa.Float),
    sa.Column(c.QUERY, sa.Text),
    sa.Column(c.SESSION, sa.Text),
    sa.Column(c.REQUEST, sa.Text),
    sa.Column("received_micros", sa.BigInteger, nullable=False),
    sa.Index("events_of_user", c.USER, "micros", "seq"),
    sqlite_autoincrement=True,
)
served = sa.Table(
    "served",
    metadata,
    sa.Column("seq", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column(c.REQUEST, sa.Text, nullable=False, unique=True),
    sa.Column(c.USER, sa.Text),
    sa.Column("micros", sa.BigInteger, nullable=False),
    sa.Column("model_version", sa.Text, nullable=False),
    sa.Column("arm", sa.Text, nullable=False),
    sa.Column("items", sa.JSON, nullable=False),
    sa.Column(c.SCORES, sa.JSON, nullable=False),
    sa.Column("propensities", sa.JSON, nullable=False),
    sa.Index("served_to_user", c.USER, "seq"),
)
# Of whom everything was erased, when last, and at which place in the sequence of events.
erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("who", sa.Text, primary_key=True),
    sa.Column("micros", sa.BigInteger, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
# How all of the above names users (see `recloop.data.pseudonyms`): one row.
naming = sa.Table(
    "naming",
    metadata,
    sa.Column("only", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("naming", sa.Text, nullable=False),
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(moment: datetime) -> int:
    """Microseconds since 1970."""
    return round((moment - _EPOCH).total_seconds() * 1_000_000)


def moment(micros: int) -> datetime:
    """The other way round, exactly."""
    return _EPOCH + timedelta(microseconds=micros)
