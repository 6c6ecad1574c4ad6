"""Channels: one scoring model per file. Each computes scores of items from histories."""
