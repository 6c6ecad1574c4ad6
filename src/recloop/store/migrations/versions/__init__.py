"""Revisions of the store's tables: a file each, numbered in each of the two branches."""
