"""Export of trained modules to ONNX and NumPy."""
