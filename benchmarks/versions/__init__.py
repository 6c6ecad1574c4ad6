"""Comparison of two versions of recloop: their lists and their speed."""
