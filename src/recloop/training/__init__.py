"""Training. PyTorch is imported in this package and nowhere else."""
