"""Models. What serves is NumPy and ONNX Runtime; what trains is PyTorch (`text`, `tower`)."""
