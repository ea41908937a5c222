"""PyTorch layers as ONNX nodes; constants bear the names of the state dict."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from earshot_training.export.arithmetic import Arithmetic
from earshot_training.export.graph import MICROSOFT, GraphBuilder


def to_numpy(tensor: Tensor) -> NDArray[np.float32]:
    """Copy a weight to the CPU as float32."""
    values: NDArray[np.float32] = tensor.detach().float().cpu().numpy()
    return values


def add_linear(arithmetic: Arithmetic, name: str, layer: nn.Linear, x: str) -> str:
    """(..., in) -> (..., out), float32 to float32."""
    bias = None if layer.bias is None else to_numpy(layer.bias)
    operand = arithmetic.operand(arithmetic.narrow(x))
    return arithmetic.wide(arithmetic.product(name, operand, to_numpy(layer.weight).T, bias))


def add_layer_norm(
    graph: GraphBuilder, name: str, layer: nn.LayerNorm, x: str, *, epsilon_scale: float = 1.0
) -> str:
    """Normalise the last axis."""
    weight = graph.constant(f"{name}.weight", to_numpy(layer.weight))
    bias = graph.constant(f"{name}.bias", to_numpy(layer.bias))
    epsilon = layer.eps * epsilon_scale
    return graph.node(
        "LayerNormalization", x, weight, bias, name=f"{name}.norm", axis=-1, epsilon=epsilon
    )


def add_gelu(graph: GraphBuilder, name: str, x: str) -> str:
    """Exact GELU; opset 18 has no operator for it."""
    return graph.node("Gelu", x, name=name, domain=MICROSOFT)
