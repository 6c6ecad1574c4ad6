"""Migrations of the store's tables with Alembic; see CONTRIBUTING.md for how to write one."""
