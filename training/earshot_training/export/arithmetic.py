"""How the graphs of each precision multiply; everything else of them is the same.

Values pass through three forms: float32, in which norms, gates and outputs are computed; the
working form, which attention and GELU see; and the operand form, which a product takes. Float32
graphs know but one form. `wide` and `narrow` go between the first two, `operand` to the third.
"""

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from earshot_training.errors import UserError
from earshot_training.export.graph import (
    ATTENTION_OPSET,
    FLOAT,
    FLOAT16,
    MICROSOFT,
    OPSET,
    GraphBuilder,
)

GraphPrecision = Literal["fp32", "int8", "fp16"]
PRECISIONS: tuple[GraphPrecision, ...] = ("fp32", "int8", "fp16")

OPSETS: dict[GraphPrecision, int] = {
    "fp32": ATTENTION_OPSET,
    "int8": ATTENTION_OPSET,
    "fp16": OPSET,
}
"""CPUs attend faster in opset 23; CUDA, which float16 is for, has its fused kernels in 18."""

Weights = NDArray[np.float32]

# Processors without VNNI add two products of a weight and an activation (0 to 255) in 16 bits: with
# weights up to 63 that cannot overflow, and every processor gives the same answer.
LARGEST_INT8_WEIGHT = 63
LARGEST_FLOAT16 = float(np.finfo(np.float16).max)
# Rows of float32 activations this far apart lie in the same set of a processor's first cache.
ALIASING_BYTES = 4096
PADDING_COLUMNS = 16


class Arithmetic(Protocol):
    """The products of one precision."""

    graph: GraphBuilder

    @property
    def outer(self) -> "Arithmetic":
        """The arithmetic of what lies around the blocks: few operations, that errors pass from."""

    def narrow(self, x: str) -> str:
        """Float32 -> working form."""

    def wide(self, x: str) -> str:
        """Working form -> float32."""

    def operand(self, x: str) -> str:
        """Working form -> what `product` takes; give it to all products of the same value."""

    def product(self, name: str, operand: str, weight: Weights, bias: Weights | None) -> str:
        """Multiply (..., in) by `weight` (in, out) and add `bias` (out,): working (..., out)."""

    def constant(self, name: str, values: Weights) -> str:
        """Store values in the working form."""

    def inner_columns(self, width: int) -> int:
        """Count the zero columns that make a hidden layer of this width faster."""


def create_arithmetic(graph: GraphBuilder, precision: GraphPrecision) -> Arithmetic:
    """Choose by the name of the precision."""
    return {"fp32": Float32, "int8": Int8, "fp16": Float16}[precision](graph)


class Float32:
    """Float32 throughout."""

    def __init__(self, graph: GraphBuilder) -> None:
        self.graph = graph

    @property
    def outer(self) -> Arithmetic:
        """The same."""
        return self

    def narrow(self, x: str) -> str:
        """Leave it as it is."""
        return x

    def wide(self, x: str) -> str:
        """Leave it as it is."""
        return x

    def operand(self, x: str) -> str:
        """Leave it as it is."""
        return x

    def product(self, name: str, operand: str, weight: Weights, bias: Weights | None) -> str:
        """Multiply in the working form."""
        stored = self.constant(f"{name}.weight", weight)
        product = self.graph.node("MatMul", operand, stored, name=f"{name}.product")
        if bias is None:
            return product
        return self.graph.node(
            "Add", product, self.constant(f"{name}.bias", bias), name=f"{name}.sum"
        )

    def constant(self, name: str, values: Weights) -> str:
        """Store float32."""
        return self.graph.constant(name, values)

    def inner_columns(self, width: int) -> int:
        """Keep rows off multiples of 4096 bytes.

        The kernel reads a dozen rows at once; where all of them fall into one set of a cache of
        8 ways, it waits. 16 columns more make a width of 3072 half as fast again.
        """
        row_bytes = width * np.dtype(np.float32).itemsize
        return PADDING_COLUMNS if row_bytes % ALIASING_BYTES == 0 else 0


class Int8(Float32):
    """Products in int8: weights per output channel, activations per run of the graph.

    Weights are symmetric (seven bits of int8, no zero point); activations are measured and turned
    to uint8 as they come, by one range for the whole tensor. All other values stay float32.
    """

    @property
    def outer(self) -> Arithmetic:
        """Float32."""
        return Float32(self.graph)

    def operand(self, x: str) -> str:
        """Quantise; the name given back stands for values, scale and zero point."""
        self.graph.nodes(
            "DynamicQuantizeLinear", [x], [f"{x}.{part}" for part in ("uint8", "scale", "zero")]
        )
        return x

    def product(self, name: str, operand: str, weight: Weights, bias: Weights | None) -> str:
        """Multiply in int8, scale back, add the bias in float32."""
        quantised, scales = quantise_channels(weight)
        return self.graph.node(
            "MatMulIntegerToFloat",
            f"{operand}.uint8",
            self.graph.constant(f"{name}.weight", quantised),
            f"{operand}.scale",
            self.graph.constant(f"{name}.weight.scale", scales),
            f"{operand}.zero",
            "",
            "" if bias is None else self.graph.constant(f"{name}.bias", bias),
            name=f"{name}.product",
            domain=MICROSOFT,
        )

    def inner_columns(self, width: int) -> int:  # noqa: ARG002
        """Rows of uint8 are a quarter as long."""
        return 0


class Float16(Float32):
    """Weights and products in float16, what lies between them in float32."""

    def narrow(self, x: str) -> str:
        """Cast to float16."""
        return self.graph.node("Cast", x, to=FLOAT16)

    def wide(self, x: str) -> str:
        """Cast to float32."""
        return self.graph.node("Cast", x, to=FLOAT)

    def constant(self, name: str, values: Weights) -> str:
        """Store float16; a value beyond its range is a UserError."""
        largest = float(np.abs(values).max(initial=0.0))
        if not largest <= LARGEST_FLOAT16:
            raise UserError(
                f"Expected {name} within float16's +-{LARGEST_FLOAT16:.0f}, got {largest:.3g}"
            )
        return self.graph.constant(name, values.astype(np.float16))

    def inner_columns(self, width: int) -> int:  # noqa: ARG002
        """Leave widths to the device."""
        return 0


def quantise_channels(weight: Weights) -> tuple[NDArray[np.int8], Weights]:
    """Round each output channel to +-63 steps of its own: (in, out) -> int8, scales (out,)."""
    largest = np.abs(weight).max(axis=0, initial=0.0)
    # A channel of zeros has any scale.
    scales = np.where(largest > 0, largest / LARGEST_INT8_WEIGHT, 1.0).astype(np.float32)
    return np.rint(weight / scales).astype(np.int8), scales
