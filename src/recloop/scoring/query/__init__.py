"""Search queries: encoding them and scoring items against them."""
