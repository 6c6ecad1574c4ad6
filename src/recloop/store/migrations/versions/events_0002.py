"""Never use a sequence number of a served list or a changed item twice or beyond its type.

On SQLite, the number of the last served list was used again after that list was deleted, and
readers that had passed the number missed the new list. On PostgreSQL, the number of a change of an
item had 32 bits, enough for three months if a million items are sent every hour.
"""

import sqlalchemy as sa
from alembic import op

revision = "events_0002"
down_revision = "events_0001"
branch_labels = None


def upgrade() -> None:
    """Rewrite `served` on SQLite, or a column of `items` on PostgreSQL."""
    if op.get_context().dialect.name == "sqlite":
        with op.batch_alter_table(
            "served", recreate="always", table_kwargs={"sqlite_autoincrement": True}
        ):
            pass
    else:
        op.alter_column("items", "seq", type_=sa.BigInteger)
