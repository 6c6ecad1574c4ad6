"""Other recommenders (peers) on the same data and requests, each in its own environment."""
