"""Channels: one scoring model per file. Each turns histories into a score for every item."""
