"""Create the table of API keys."""

import sqlalchemy as sa

from recloop.store.migrations.adoption import create_or_adopt

revision = "keys_0001"
down_revision = None
branch_labels = ("keys",)


def upgrade() -> None:
    """Create the table if it does not exist."""
    create_or_adopt(
        "keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("expires", sa.Float),
        sa.Column("revoked", sa.Float),
    )
