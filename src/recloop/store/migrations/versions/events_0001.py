"""Create the tables of events, served lists, erasures, the user id scheme and live items."""

import sqlalchemy as sa
from alembic import op

from recloop.store.migrations.adoption import create_or_adopt

revision = "events_0001"
down_revision = None
branch_labels = ("events",)

_SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create the tables and indexes that do not exist."""
    create_or_adopt(
        "events",
        sa.Column("seq", _SEQ, primary_key=True, autoincrement=True),
        sa.Column("event_id", sa.Text, nullable=False, unique=True),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("item_id", sa.Text, nullable=False),
        sa.Column("micros", sa.BigInteger, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("value", sa.Float),
        sa.Column("query", sa.Text),
        sa.Column("session_id", sa.Text),
        sa.Column("request_id", sa.Text),
        sa.Column("received_micros", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    create_or_adopt(
        "served",
        sa.Column("seq", _SEQ, primary_key=True, autoincrement=True),
        sa.Column("request_id", sa.Text, nullable=False, unique=True),
        sa.Column("user_id", sa.Text),
        sa.Column("micros", sa.BigInteger, nullable=False),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("arm", sa.Text, nullable=False),
        sa.Column("items", sa.JSON, nullable=False),
        sa.Column("scores", sa.JSON, nullable=False),
        sa.Column("propensities", sa.JSON, nullable=False),
    )
    create_or_adopt(
        "erasures",
        sa.Column("who", sa.Text, primary_key=True),
        sa.Column("micros", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    create_or_adopt(
        "naming",
        sa.Column("only", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("naming", sa.Text, nullable=False),
    )
    create_or_adopt(
        "items",
        sa.Column("item_id", sa.Text, primary_key=True),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("title", sa.Text),
        sa.Column("text", sa.Text),
        sa.Column("categories", sa.JSON, nullable=False),
        sa.Column("attributes", sa.Text),
        sa.Column("published_at", sa.BigInteger),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("available", sa.Boolean, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
    )
    for name, table, columns in (
        ("events_of_user", "events", ["user_id", "micros", "seq"]),
        ("served_to_user", "served", ["user_id", "seq"]),
        ("items_by_seq", "items", ["seq"]),
    ):
        op.create_index(name, table, columns, if_not_exists=True)
