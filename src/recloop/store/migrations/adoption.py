"""Creation of the first tables, which stores from before the first revision have already."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from recloop.store.schema_version import StoreSchemaError


def create_or_adopt(name: str, *columns: sa.Column[Any], **options: object) -> None:
    """Create a table, or check that the existing table of this name has the same columns.

    Args:
        name: Name of the table.
        columns: Columns of the table.
        options: Other options of `op.create_table`.

    Raises:
        StoreSchemaError: The existing table lacks a column.
    """
    op.create_table(name, *columns, if_not_exists=True, **options)
    existing = {column["name"] for column in sa.inspect(op.get_bind()).get_columns(name)}
    if missing := {column.name for column in columns} - existing:
        raise StoreSchemaError(
            f"the table {name} of this database is not recloop's: it has no column"
            f" {', '.join(sorted(missing))}; let RECLOOP_DATABASE_URL name a database of its own"
        )
