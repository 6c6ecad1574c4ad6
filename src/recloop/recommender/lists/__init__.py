"""Building a list from scores: diversity, quotas, boosts, exploration and experiments."""
