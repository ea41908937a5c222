"""The model folder that the service reads: ONNX graphs and model.json."""
