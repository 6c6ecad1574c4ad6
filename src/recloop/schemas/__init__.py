"""Schemas of the HTTP API as pydantic models. Imports pydantic and the names in `columns` only."""
