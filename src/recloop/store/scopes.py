"""Scopes of API keys."""

from enum import StrEnum


class Scope(StrEnum):
    """Scope of an API key. No scope includes another one."""

    RECOMMEND = "recommend"
    INGEST = "ingest"
    CATALOGUE = "catalogue"
    ADMIN = "admin"
