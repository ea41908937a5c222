"""BEATs (arXiv 2212.09058) in plain PyTorch: training, evaluation and ONNX export for Earshot."""
