"""Benchmarks: scripts that measure recloop, run by `python -m benchmarks.NAME`.

Importing this package loads nothing: the peers' scripts run in environments without recloop.
"""
