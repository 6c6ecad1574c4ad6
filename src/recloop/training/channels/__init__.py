"""Fitting and tuning of the collaborative channels."""
