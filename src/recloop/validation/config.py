"""Settings of the validation rules, and columns that the rules add, without Great Expectations."""

from recloop.config import ConfigModel

QUARANTINED_SHARE = "quarantined_share"
ITEM_IN_CATALOGUE = "item_is_in_catalogue"


class ValidateConfig(ConfigModel):
    """Bounds of the validation rules."""

    min_interactions: int = 1_000
    """Fewest interactions of a valid snapshot."""
    min_items: int = 50
    """Fewest items."""
    min_users: int = 20
    """Fewest users."""
    oldest: str = "1970-01-02T00:00:00Z"
    """Earliest time that an interaction may have."""
    max_quarantined_share: float = 0.01
    """Largest share of rows that may be in quarantine."""
