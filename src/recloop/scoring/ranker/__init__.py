"""The cross-encoder ranker at serving time: packing its inputs and running it in ONNX Runtime."""
