"""PyTorch modules: user tower, text encoder, PEFT methods and cross-encoder."""
