"""Scoring: from a request to a score for each item, with NumPy, SciPy and ONNX Runtime only."""
