"""Writes graphs/matmul.onnx: one float32 matrix product of free sizes, the yardstick of the benchmarks.

Run with training's environment: `training/.venv/bin/python bench/make_matmul_graph.py`.
"""

from pathlib import Path

import onnx
from earshot_training.export.graph import FLOAT, GraphBuilder

GRAPH = Path(__file__).parent / "graphs" / "matmul.onnx"


def main() -> None:
    graph = GraphBuilder()
    left = graph.input("left", FLOAT, ["rows", "inner"])
    right = graph.input("right", FLOAT, ["inner", "columns"])
    graph.node("MatMul", left, right, name="product")
    graph.output("product", FLOAT, ["rows", "columns"])
    onnx.save(graph.build("matmul", "One float32 matrix product"), str(GRAPH))


if __name__ == "__main__":
    main()
