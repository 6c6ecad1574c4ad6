"""Fitting of the blend: weights of channels, by activity, of cold items and of the ranker."""
