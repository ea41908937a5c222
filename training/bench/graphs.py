"""The graphs of the released size, each as a share of what the machine can do.

`python -m bench.graphs --graphs FOLDER [--rounds N] [--out ../bench/results/graphs.json]`, from
training/. FOLDER keeps the graphs (random weights, 2 GB); those that lie there are taken as they
are. Products and graphs take turns, clips of 10 s and of 1 s on one thread each; times are medians
of processor time over the rounds. The roof is the time that a graph's products would take at the
rate of ONNX Runtime's own products of these shapes in the same rounds: float32 at the fastest
shape, int8 shape by shape. Products of attention, fbank, patch embedding and positions count as
float32; the positions as the convolution that they are, however they are computed.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from bench.random_base import random_base
from earshot_training.audio.fbank import SAMPLE_RATE
from earshot_training.export import (
    arithmetic,
    positions_graph,
)
from earshot_training.export.arithmetic import GraphPrecision
from earshot_training.export.encoder_graph import create_encoder_graph
from earshot_training.export.graph import OPSET
from earshot_training.export.graph_file import write_graph
from earshot_training.export.parity import create_session, noise_waveforms
from earshot_training.model.beats import Beats

LAYERS, PATCHES, DIM, HIDDEN, HEADS, HEAD_DIM = 12, 496, 768, 3072, 12, 64
FRAMES, POSITION_OPERATIONS = 998, 2 * 496 * 768 * 48 * 128
SHAPES = {
    "projection": (PATCHES, DIM, DIM),
    "expand": (PATCHES, DIM, HIDDEN),
    "contract": (PATCHES, HIDDEN, DIM),
}
TIMES_PER_LAYER = {"projection": 4, "expand": 1, "contract": 1}
ATTENTION_OPERATIONS = LAYERS * 4 * HEADS * PATCHES**2 * HEAD_DIM
FRONT_OPERATIONS = (
    2 * FRAMES * (514 * 400 + 257 * 128)
    + 2 * PATCHES * (256 * 512 + 512 * DIM)
    + POSITION_OPERATIONS
)
REPEATS = 3
SHORT = ", 1 s"


@contextmanager
def as_exported() -> Iterator[None]:
    """Change nothing."""
    yield


@contextmanager
def positions_convolved() -> Iterator[None]:
    """Leave out the way through the spectrum."""
    with mock.patch.object(positions_graph, "LEAST_GROUP_CHANNELS", 1 << 30):
        yield


@contextmanager
def rows_not_padded() -> Iterator[None]:
    """Leave rows of float32 at multiples of 4096 bytes."""
    with mock.patch.object(arithmetic, "PADDING_COLUMNS", 0):
        yield


@contextmanager
def multi_head_attention() -> Iterator[None]:
    """Write graphs of opset 18, with its attention."""
    with mock.patch.dict(arithmetic.OPSETS, dict.fromkeys(arithmetic.OPSETS, OPSET)):
        yield


VARIANTS: dict[str, tuple[GraphPrecision, Callable[[], Any]]] = {
    "fp32": ("fp32", as_exported),
    "fp32, rows not padded": ("fp32", rows_not_padded),
    "fp32, positions convolved": ("fp32", positions_convolved),
    "fp32, MultiHeadAttention": ("fp32", multi_head_attention),
    "int8": ("int8", as_exported),
    "int8, positions convolved": ("int8", positions_convolved),
    "int8, MultiHeadAttention": ("int8", multi_head_attention),
}
TOOL = "int8 by quantize_dynamic"


def main() -> None:
    """Make what is missing, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graphs", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--out", type=Path, metavar="FILE.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    paths = make_graphs(options.graphs)
    if options.rounds == 0:
        return
    record = measure(paths, options.rounds)
    print(json.dumps(record, indent=2))
    print("\n".join(table_lines(record)))
    if options.out is not None:
        options.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def make_graphs(folder: Path) -> dict[str, Path]:
    """Write the variants that are not there yet; returns each one's file."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{_slug(name)}.onnx" for name in [*VARIANTS, TOOL]}
    model: Beats | None = None
    for name, (precision, change) in VARIANTS.items():
        if not paths[name].exists():
            model = model or random_base().model
            with change():
                write_graph(paths[name], create_encoder_graph(model, precision))
    if not paths[TOOL].exists():
        _quantise_by_tool(paths["fp32"], paths[TOOL])
    return paths


def measure(paths: dict[str, Path], rounds: int) -> dict[str, Any]:
    """Take turns; returns the record that is written."""
    whole = noise_waveforms()[-1]
    clips = {
        name: {"waveform": part[None], "num_samples": np.asarray([len(part)])}
        for name, part in (("", whole), (SHORT, whole[:SAMPLE_RATE]))
    }
    runs: dict[str, Callable[[], object]] = {
        f"{kind} {shape}": _product(kind, *sizes)
        for kind in ("fp32", "int8")
        for shape, sizes in SHAPES.items()
    }
    for name, path in paths.items():
        session = create_session(path)
        for clip, inputs in clips.items():
            runs[name + clip] = partial(session.run, None, inputs)
    for run in runs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            repeats = 1 if name in paths else REPEATS
            seconds[name].append(min(_processor_seconds(run) for _ in range(repeats)))
    return _record({name: median(values) for name, values in seconds.items()}, paths, rounds)


def table_lines(record: dict[str, Any]) -> list[str]:
    """Lay out the table of docs/performance.md."""
    rates = [
        f"{kind} {' / '.join(str(rate) for rate in by_shape.values())}"
        for kind, by_shape in record["product_gop_per_second"].items()
    ]
    shapes = " / ".join(record["product_gop_per_second"]["fp32"])
    return [
        f"Products by shape ({shapes}), 10^9 operations per second: {', '.join(rates)}. "
        f"int8 is {record['int8_speedup']} times as fast as float32.",
        "",
        "| graph | time, against the exported | of a clip of 1 s | of the roof | layers only |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {name} | {row['times_final_graph']:.3f} | {row['times_final_graph_1s']:.3f} | "
            f"{row['roof_percent']} % | {row['roof_percent_layers_only']} % |"
            for name, row in record["graphs"].items()
        ),
    ]


def _record(seconds: dict[str, float], paths: dict[str, Path], rounds: int) -> dict[str, Any]:
    operations = {name: 2 * np.prod(sizes, dtype=float) for name, sizes in SHAPES.items()}
    rates = {
        kind: {name: operations[name] / seconds[f"{kind} {name}"] / 1e9 for name in SHAPES}
        for kind in ("fp32", "int8")
    }
    float_rate = max(rates["fp32"].values()) * 1e9
    products = LAYERS * sum(TIMES_PER_LAYER[name] * operations[name] for name in SHAPES)
    int8_seconds = LAYERS * sum(TIMES_PER_LAYER[name] * seconds[f"int8 {name}"] for name in SHAPES)
    roofs = {"fp32": products / float_rate, "int8": int8_seconds}
    layers = {kind: roof + ATTENTION_OPERATIONS / float_rate for kind, roof in roofs.items()}
    front = FRONT_OPERATIONS / float_rate
    return {
        "clip_seconds": 10,
        "threads": 1,
        "rounds": rounds,
        "onnxruntime": onnxruntime.__version__,
        "product_gop_per_second": {
            kind: {name: round(rate) for name, rate in by_shape.items()}
            for kind, by_shape in rates.items()
        },
        "graphs": {
            name: {
                "milliseconds": round(1e3 * seconds[name]),
                "times_final_graph": round(seconds[name] / seconds[_kind(name)], 3),
                "times_final_graph_1s": round(
                    seconds[name + SHORT] / seconds[_kind(name) + SHORT], 3
                ),
                "roof_percent": round(100 * (layers[_kind(name)] + front) / seconds[name]),
                "roof_percent_layers_only": round(100 * layers[_kind(name)] / seconds[name]),
            }
            for name in paths
        },
        "int8_speedup": round(seconds["fp32"] / seconds["int8"], 2),
    }


def _kind(name: str) -> str:
    return name[:4]


def _slug(name: str) -> str:
    return name.replace(", ", "-").replace(" ", "-")


def _processor_seconds(run: Callable[[], object]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


def _product(kind: str, rows: int, inner: int, columns: int) -> Callable[[], object]:
    """ONNX Runtime's product of random matrices, the right one constant."""
    generator = np.random.default_rng(0)
    shape = (inner, columns)
    if kind == "fp32":
        left = generator.standard_normal((rows, inner)).astype(np.float32)
        constants = {"w": generator.standard_normal(shape).astype(np.float32)}
        node = helper.make_node("MatMul", ["x", "w"], ["y"])
        types = (TensorProto.FLOAT, TensorProto.FLOAT)
    else:
        left = generator.integers(0, 255, (rows, inner)).astype(np.uint8)
        constants = {"w": generator.integers(-127, 127, shape).astype(np.int8)}
        constants |= {"zero": np.asarray(128, dtype=np.uint8)}
        node = helper.make_node("MatMulInteger", ["x", "w", "zero"], ["y"])
        types = (TensorProto.UINT8, TensorProto.INT32)
    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info("x", types[0], [rows, inner])],
        [helper.make_tensor_value_info("y", types[1], [rows, columns])],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    opset = helper.make_opsetid("", 18)
    session = create_session(helper.make_model(graph, ir_version=10, opset_imports=[opset]))
    return lambda: session.run(None, {"x": left})


def _quantise_by_tool(source: Path, target: Path) -> None:
    """Quantise a float32 graph by ONNX Runtime's own tool, as near to ours as its options go."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        source,
        target,
        per_channel=True,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul"],
        use_external_data_format=True,
        # A graph in which these are quantised per channel cannot be run.
        nodes_to_exclude=[f"{positions_graph.NAME}.{part}" for part in ("product", "windows")],
        # Without this it stops at the first operator of com.microsoft.
        extra_options={"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT},
    )


if __name__ == "__main__":
    main()
