"""Graphs of smaller precisions: what they compute, alone and in batches."""

import copy
from functools import cache

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from earshot_training.errors import UserError
from earshot_training.export import attention_graph, graph_file
from earshot_training.export.arithmetic import (
    LARGEST_INT8_WEIGHT,
    OPSETS,
    PRECISIONS,
    Float16,
    Float32,
    GraphPrecision,
    Int8,
    quantise_channels,
)
from earshot_training.export.encoder_files import parse_precisions
from earshot_training.export.encoder_graph import OUTPUTS, create_encoder_graph
from earshot_training.export.graph import FLOAT, GraphBuilder
from earshot_training.export.graph_file import write_graph
from earshot_training.export.parity import create_session, noise_waveforms, pad_waveforms
from earshot_training.model.beats import Beats
from tests.goldens import cases, finetuned_model

CLIPS = ("clip_5s_a", "clip_1s", "clip_3s_odd")


def test_cuda_gets_the_attention_that_it_has_fused_kernels_for() -> None:
    attention = {"Attention", "MultiHeadAttention"}
    found = {}
    for precision in PRECISIONS:
        nodes = create_encoder_graph(finetuned_model(), precision).graph.node
        found[precision] = attention & {node.op_type for node in nodes}
    assert found == {"fp32": {"Attention"}, "int8": {"Attention"}, "fp16": {"MultiHeadAttention"}}


@cache
def session(precision: GraphPrecision) -> onnxruntime.InferenceSession:
    return create_session(create_encoder_graph(finetuned_model(), precision))


def run(precision: GraphPrecision, waveforms: list[np.ndarray]) -> dict[str, np.ndarray]:
    batch, num_samples = pad_waveforms(waveforms)
    inputs = {"waveform": batch, "num_samples": num_samples}
    return dict(zip(OUTPUTS, session(precision).run(list(OUTPUTS), inputs), strict=True))


def real_waveforms() -> list[np.ndarray]:
    return [cases()[name].waveform[0].numpy() for name in CLIPS]


def relative_error(came: np.ndarray, expected: np.ndarray) -> float:
    """Root mean square of the difference, as a share of the expected values' deviation."""
    return float(np.sqrt(np.mean((came - expected) ** 2)) / expected.std())


# One rounding moves a value of some deviation by 2 ** -9 (int8, if the range is four deviations),
# 2 ** -8 (int8 weights, whose steps are twice as wide) or 2 ** -13 (float16) of it; twenty or so
# independent ones follow each other in these two layers.
@pytest.mark.parametrize(
    ("precision", "most", "most_of_scores"), [("int8", 0.025, 0.005), ("fp16", 0.002, 0.0002)]
)
def test_answers_lie_by_those_of_float32(
    precision: GraphPrecision, most: float, most_of_scores: float
) -> None:
    for waveform in real_waveforms():
        came, expected = run(precision, [waveform]), run("fp32", [waveform])
        for name in OUTPUTS:
            assert came[name].dtype == np.float32
            assert 0 < relative_error(came[name], expected[name]) <= most, name
        scores = [1 / (1 + np.exp(-part["clip_logits"])) for part in (came, expected)]
        assert np.abs(scores[0] - scores[1]).mean() <= most_of_scores


def test_a_float16_clip_answers_the_same_in_a_batch() -> None:
    """Within the contract's tolerance: nothing in the graph looks across clips."""
    waveforms = real_waveforms()
    batch = run("fp16", waveforms)
    for index, waveform in enumerate(waveforms):
        alone = run("fp16", [waveform])
        for name in ("clip_logits", "clip_embedding"):
            np.testing.assert_allclose(batch[name][index], alone[name][0], atol=1e-4, rtol=0)


def test_an_int8_clip_answers_the_same_alone_and_moves_in_a_batch() -> None:
    """One range of activations serves the whole run, so neighbours move an answer, a little."""
    waveforms = real_waveforms()
    batch = run("int8", waveforms)
    moved = 0.0
    for index, waveform in enumerate(waveforms):
        alone, again, exact = (run(name, [waveform]) for name in ("int8", "int8", "fp32"))
        np.testing.assert_array_equal(alone["clip_logits"], again["clip_logits"])
        moved = max(moved, float(np.abs(batch["clip_logits"][index] - alone["clip_logits"]).max()))
        assert relative_error(batch["clip_logits"][index], exact["clip_logits"][0]) < 0.03
    assert moved > 1e-4


def padding_error(model: Beats, precision: GraphPrecision) -> float:
    """How far padding moves an answer: a second of sound beside five."""
    opened = create_session(create_encoder_graph(model, precision))
    short, long = real_waveforms()[1], real_waveforms()[0]
    batch, num_samples = pad_waveforms([short, long])
    alone = {"waveform": short[None], "num_samples": num_samples[:1]}
    (padded,) = opened.run(["clip_embedding"], {"waveform": batch, "num_samples": num_samples})
    (expected,) = opened.run(["clip_embedding"], alone)
    return relative_error(padded[0], expected[0])


# 1 is where training starts; at -2 a gate may be below zero, and the mask cannot go through it.
@pytest.mark.parametrize("gate_scale", [1.0, -2.0])
@pytest.mark.parametrize(("precision", "most"), [("fp32", 1e-5), ("int8", 0.03)])
def test_padding_is_masked(
    precision: GraphPrecision, most: float, gate_scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = copy.deepcopy(finetuned_model())
    for layer in model.encoder.layers:
        torch.nn.init.constant_(layer.attention.gate_scale, gate_scale)
    error = padding_error(model, precision)
    assert error < most
    monkeypatch.setattr(attention_graph, "MASKED_SCORE", 0.0)
    assert padding_error(model, precision) > 5 * most


def test_rows_past_a_clips_end_are_zero_in_every_precision() -> None:
    waveforms = noise_waveforms()[:3]
    for precision in ("int8", "fp16"):
        rows = run(precision, waveforms)["row_logits"]
        assert rows[0, :1].any()
        assert not rows[0, 1:].any()


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_large_graphs_keep_their_weights_apart(
    precision: GraphPrecision, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_file, "EXTERNAL_DATA_BYTES", 50_000)
    path = tmp_path / f"encoder.{precision}.onnx"
    entry = write_graph(path, create_encoder_graph(finetuned_model(), precision))
    assert entry["external_data"]["file"] == f"encoder.{precision}.data"
    waveform = real_waveforms()[1]
    inputs = {"waveform": waveform[None], "num_samples": np.asarray([len(waveform)])}
    (apart,) = create_session(path).run(["clip_logits"], inputs)
    np.testing.assert_array_equal(apart, run(precision, [waveform])["clip_logits"])


def test_weights_are_small_and_no_node_reads_a_shape() -> None:
    sizes = {}
    for precision in ("fp32", "int8", "fp16"):
        graph = create_encoder_graph(finetuned_model(), precision).graph
        assert "Shape" not in {node.op_type for node in graph.node}
        stored = {tensor.name: tensor for tensor in graph.initializer}
        sizes[precision] = stored["encoder.layers.0.expand.weight"].data_type
    types = onnx.TensorProto
    assert sizes == {"fp32": types.FLOAT, "int8": types.INT8, "fp16": types.FLOAT16}


def test_query_key_and_value_share_one_quantised_input() -> None:
    nodes = create_encoder_graph(finetuned_model(), "int8").graph.node
    inputs = {node.name: node.input[0] for node in nodes}
    layer = "encoder.layers.0.attention"
    assert len({inputs[f"{layer}.{part}.product"] for part in ("query", "key", "value")}) == 1


def test_each_channel_has_its_own_step() -> None:
    weight = np.array([[1.0, -0.001, 0.0], [-0.25, 0.00025, 0.0]], dtype=np.float32)
    quantised, scales = quantise_channels(weight)
    np.testing.assert_array_equal(quantised, [[63, -63, 0], [-16, 16, 0]])
    np.testing.assert_allclose(quantised * scales, weight, atol=0.5 * scales.max())


def test_the_largest_products_overflow_on_no_processor() -> None:
    """A pair of them, in the 16 bits that processors without VNNI add it in; and as they run."""
    assert 2 * np.iinfo(np.uint8).max * LARGEST_INT8_WEIGHT <= np.iinfo(np.int16).max
    width, channels = 64, 32
    graph = GraphBuilder(OPSETS["int8"])
    x = graph.input("x", FLOAT, ["rows", width])
    arithmetic = Int8(graph)
    weight = np.ones((width, channels), dtype=np.float32)
    product = arithmetic.product("largest", arithmetic.operand(x), weight, None)
    graph.output(product, FLOAT, ["rows", channels])
    session = create_session(graph.build("largest", "all values as large as they get"))
    (came,) = session.run([product], {"x": np.ones((3, width), dtype=np.float32)})
    np.testing.assert_allclose(came, width, rtol=1e-5)


def test_a_weight_beyond_float16_is_refused() -> None:
    with pytest.raises(UserError, match=r"Expected big within float16's \+-65504, got 7e\+04"):
        Float16(GraphBuilder()).constant("big", np.float32([7e4]))
    with pytest.raises(UserError, match="got nan"):
        Float16(GraphBuilder()).constant("none", np.float32([np.nan]))


@pytest.mark.parametrize(("width", "columns"), [(3072, 16), (1024, 16), (768, 0), (3088, 0)])
def test_rows_of_whole_pages_get_columns_more(width: int, columns: int) -> None:
    assert Float32(GraphBuilder()).inner_columns(width) == columns


@pytest.mark.parametrize(
    ("text", "names"),
    [("fp32", ("fp32",)), ("fp16,int8", ("fp32", "int8", "fp16")), ("int8", ("fp32", "int8"))],
)
def test_float32_is_always_among_the_precisions(text: str, names: tuple[str, ...]) -> None:
    assert parse_precisions(text) == names


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(UserError, match="Expected precisions among fp32, int8, fp16, got 'int4'"):
        parse_precisions("int4")
