"""Candidate generation for large catalogues, where scoring every item would take too long."""
