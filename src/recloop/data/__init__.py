"""Data: sources, the contract of interactions and items, snapshots, splits and user sequences."""
