"""Training loops: losses, batches, augmentation, validation, pretraining and warm start."""
