"""Writes the yardsticks of the benchmark: the projections of one base layer, in float32 and int8.

`python make_matrix_graphs.py OUT` writes matrix.fp32.onnx and matrix.int8.onnx: four products of
(496, 768) and (768, 768), one with (768, F) and one of (496, F) with (F, 768). F is the width of
the hidden layer as the model's graph of that precision has it. Weights are constants, so that the
runtime packs them as it packs a model's. Outputs are one row of each product: all of it is
computed, little is handed over.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from earshot_training.export.arithmetic import Precision, create_arithmetic
from earshot_training.export.graph import FLOAT, GraphBuilder

PATCHES, DIM, FFN_DIM = 496, 768, 3072
MEASURED: tuple[Precision, ...] = ("fp32", "int8")
ZERO_POINT = 128


def main() -> None:
    """Write both graphs."""
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for precision in MEASURED:
        onnx.save(build(precision), str(out / f"matrix.{precision}.onnx"))


def build(precision: Precision) -> onnx.ModelProto:
    """Add six products of a precision, none of which waits for another."""
    graph = GraphBuilder()
    arithmetic = create_arithmetic(graph, precision)
    is_float = precision == "fp32"
    element_type = FLOAT if is_float else TensorProto.UINT8
    hidden = FFN_DIM + arithmetic.inner_columns(FFN_DIM)
    inputs = {
        width: graph.input(f"x{width}", element_type, [PATCHES, width]) for width in (DIM, hidden)
    }
    zero_point = graph.constant("zero_point", np.asarray(ZERO_POINT, dtype=np.uint8))
    random = np.random.default_rng(0)
    for number, shape in enumerate(4 * [(DIM, DIM)] + [(DIM, hidden), (hidden, DIM)]):
        weight = graph.constant(f"weight.{number}", draw_weight(random, shape, precision))
        x = inputs[shape[0]]
        product = (
            graph.node("MatMul", x, weight)
            if is_float
            else graph.node("MatMulInteger", x, weight, zero_point)
        )
        row = graph.node(
            "Slice",
            product,
            graph.integers(0),
            graph.integers(1),
            graph.integers(0),
            name=f"row.{number}",
        )
        graph.output(row, FLOAT if is_float else TensorProto.INT32, [1, shape[1]])
    return graph.build(f"matrix-{precision}", "Products of matrices as in a layer of a base model")


def draw_weight(
    random: np.random.Generator, shape: tuple[int, int], precision: Precision
) -> NDArray[np.generic]:
    """Draw a weight of a precision."""
    if precision == "fp32":
        return random.standard_normal(shape, dtype=np.float32)
    return random.integers(-127, 128, shape, dtype=np.int8)


if __name__ == "__main__":
    main()
