"""Graphs as files: the weights of a large one lie beside it, where engines share their pages."""

import hashlib
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto

EXTERNAL_DATA_BYTES = 100_000_000
"""Graphs of at least this size keep their weights in a file of their own."""

# A runtime maps whole pages.
PAGE_BYTES = 4096
# Shapes and axes stay in the graph: the runtime reads them when it opens it.
LEAST_EXTERNAL_BYTES = 1024


def write_graph(path: Path, graph: onnx.ModelProto) -> dict[str, Any]:
    """Write a graph; returns its entry in the model card.

    The weights of a large graph are moved out of it, into `<name>.data` beside it.
    """
    if graph.ByteSize() < EXTERNAL_DATA_BYTES:
        return _entry(path, graph.SerializeToString(deterministic=True))
    data = path.with_suffix(".data")
    _move_weights(graph, data)
    external = {"file": data.name, "bytes": data.stat().st_size, "sha256": _sha256(data)}
    entry = _entry(path, graph.SerializeToString(deterministic=True))
    onnx.checker.check_model(str(path))
    return {**entry, "external_data": external}


def _move_weights(graph: onnx.ModelProto, data: Path) -> None:
    with data.open("wb") as file:
        for tensor in graph.graph.initializer:
            if len(tensor.raw_data) >= LEAST_EXTERNAL_BYTES:
                file.write(bytes(-file.tell() % PAGE_BYTES))
                _point_to(tensor, data.name, offset=file.tell())
                file.write(tensor.raw_data)
                tensor.ClearField("raw_data")


def _point_to(tensor: TensorProto, location: str, *, offset: int) -> None:
    tensor.data_location = TensorProto.EXTERNAL
    values = {"location": location, "offset": offset, "length": len(tensor.raw_data)}
    for key, value in values.items():
        tensor.external_data.add(key=key, value=str(value))


def _entry(path: Path, content: bytes) -> dict[str, Any]:
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    return {"file": path.name, "bytes": len(content), "sha256": digest}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
