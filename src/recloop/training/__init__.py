"""Training: PyTorch from here on, and only here and in `models.text` and `models.tower`."""
