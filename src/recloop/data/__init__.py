"""From a user's files to the contract: sources, snapshots, splits."""
