"""Tables of the store, and the conversion of times to microseconds, in which they are stored."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from recloop import columns as c

# Tables of the event store, and the table of API keys, which may be in another database. A change
# of a table needs a revision in `recloop.store.migrations`.
metadata, keys_metadata = sa.MetaData(), sa.MetaData()
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
    sqlite_autoincrement=True,
)
# The last erasure of each erased user: `user_digest`, time, and number in the events' sequence.
erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("who", sa.Text, primary_key=True),
    sa.Column("micros", sa.BigInteger, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
# One row with the user id scheme of the other tables (see `recloop.data.pseudonyms`).
naming = sa.Table(
    "naming",
    metadata,
    sa.Column("only", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("naming", sa.Text, nullable=False),
)
# The newest version of each item that was changed through the API.
items = sa.Table(
    "items",
    metadata,
    sa.Column(c.ITEM, sa.Text, primary_key=True),
    sa.Column("seq", _NUMBER, nullable=False),
    sa.Column(c.TITLE, sa.Text),
    sa.Column(c.TEXT, sa.Text),
    sa.Column(c.CATEGORIES, sa.JSON, nullable=False),
    sa.Column(c.ATTRIBUTES, sa.Text),
    sa.Column(c.PUBLISHED, sa.BigInteger),
    sa.Column(c.EXPIRES, sa.BigInteger),
    sa.Column(c.AVAILABLE, sa.Boolean, nullable=False),
    sa.Column("deleted", sa.Boolean, nullable=False),
    sa.Index("items_by_seq", "seq"),
)
keys = sa.Table(
    "keys",
    keys_metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("expires", sa.Float),
    sa.Column("revoked", sa.Float),
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(moment: datetime) -> int:
    """Return a time as microseconds since 1970, in UTC."""
    return round((moment - _EPOCH).total_seconds() * 1_000_000)


def moment(micros: int) -> datetime:
    """Return the time of a number of microseconds since 1970, exactly."""
    return _EPOCH + timedelta(microseconds=micros)
