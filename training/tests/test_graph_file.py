"""Large graphs keep their weights in a file beside them."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import pytest

from earshot_training.export import graph_file
from earshot_training.export.encoder_graph import create_encoder_graph
from earshot_training.export.graph_file import PAGE_BYTES, write_graph
from earshot_training.export.parity import create_session, noise_waveforms, pad_waveforms
from tests.make_tiny_model import tiny_artefact


@pytest.fixture
def split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, dict]:
    """The tiny model, written as if it were large, and its entry in the card."""
    monkeypatch.setattr(graph_file, "EXTERNAL_DATA_BYTES", 100_000)
    path = tmp_path / "encoder.fp32.onnx"
    return path, write_graph(path, create_encoder_graph(tiny_artefact().model))


def test_the_entry_names_both_files(split: tuple[Path, dict]) -> None:
    path, entry = split
    data = path.parent / "encoder.fp32.data"
    assert sorted(path.parent.iterdir()) == [data, path]
    for file, said in ((path, entry), (data, entry["external_data"])):
        content = file.read_bytes()
        assert said["file"] == file.name
        assert said["bytes"] == len(content)
        assert said["sha256"] == sha256(content).hexdigest()
    assert entry["bytes"] < 100_000 < entry["external_data"]["bytes"]


def test_outputs_are_those_of_one_file(split: tuple[Path, dict]) -> None:
    batch, num_samples = pad_waveforms(noise_waveforms()[:3])
    inputs = {"waveform": batch, "num_samples": num_samples}
    apart = create_session(split[0]).run(None, inputs)
    whole = create_session(create_encoder_graph(tiny_artefact().model)).run(None, inputs)
    for ours, theirs in zip(apart, whole, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_weights_begin_at_pages_and_shapes_stay_inside(split: tuple[Path, dict]) -> None:
    graph = onnx.load(split[0], load_external_data=False)
    places = [
        {item.key: item.value for item in tensor.external_data}
        for tensor in graph.graph.initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL
    ]
    assert len(places) > 10
    assert {place["location"] for place in places} == {"encoder.fp32.data"}
    assert all(int(place["offset"]) % PAGE_BYTES == 0 for place in places)
    inside = [tensor for tensor in graph.graph.initializer if not tensor.external_data]
    assert all(len(tensor.raw_data) < 1024 for tensor in inside)


def test_a_small_graph_is_one_file(tmp_path: Path) -> None:
    path = tmp_path / "encoder.fp32.onnx"
    entry = write_graph(path, create_encoder_graph(tiny_artefact().model))
    assert list(tmp_path.iterdir()) == [path]
    assert "external_data" not in entry
