"""Benchmark of every model on one data set, as run by `recloop evaluate`."""
