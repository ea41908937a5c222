"""The exported graph against golden values and against PyTorch."""

from functools import cache

import numpy as np
import onnxruntime
import pytest
import torch

from earshot_training.config import EncoderConfig
from earshot_training.export.encoder_graph import OUTPUTS, create_encoder_graph
from earshot_training.export.parity import (
    NOISE_LENGTHS,
    ParityError,
    assert_parity,
    create_session,
    noise_waveforms,
    pad_waveforms,
)
from earshot_training.model.beats import Beats
from tests.goldens import Case, cases, finetuned_model, pretrained_model, tolerance

MIXED = ("clip_5s_a", "clip_min_2800", "clip_3s_odd", "silence_2s", "clip_200ms")


@cache
def session() -> onnxruntime.InferenceSession:
    return create_session(create_encoder_graph(finetuned_model()))


def run(waveforms: np.ndarray, num_samples: list[int]) -> dict[str, np.ndarray]:
    inputs = {"waveform": waveforms, "num_samples": np.asarray(num_samples, dtype=np.int64)}
    return dict(zip(OUTPUTS, session().run(list(OUTPUTS), inputs), strict=True))


def test_equals_the_golden_scores(case: Case) -> None:
    output = run(case.waveform.numpy(), case.num_samples.tolist())
    scores = torch.from_numpy(output["clip_logits"][0]).sigmoid()
    torch.testing.assert_close(scores, case.scores, atol=tolerance(case.name).scores, rtol=0)
    with torch.no_grad():
        expected = finetuned_model()(case.waveform, case.num_samples)
    for name in OUTPUTS:
        came = torch.from_numpy(output[name])
        atol = tolerance(case.name).features
        torch.testing.assert_close(came, getattr(expected, name), atol=atol, rtol=0)


def test_a_graph_gives_the_golden_features(case: Case) -> None:
    """Features reach the outputs as means over the 8 bands of a row."""
    model = Beats(pretrained_model().config, num_labels=1).eval()
    model.load_state_dict(pretrained_model().state_dict(), strict=False)
    inputs = {"waveform": case.waveform.numpy(), "num_samples": case.num_samples.numpy()}
    (rows,) = create_session(create_encoder_graph(model)).run(["row_embeddings"], inputs)
    expected = case.features.view(-1, 8, 64).mean(dim=1)
    came = torch.from_numpy(rows[0])
    torch.testing.assert_close(came, expected, atol=tolerance(case.name).features, rtol=0)


def test_real_clips_in_a_batch_equal_each_alone_in_pytorch() -> None:
    waveforms = [cases()[name].waveform[0].numpy() for name in MIXED]
    parity = assert_parity(finetuned_model(), create_encoder_graph(finetuned_model()), waveforms)
    assert set(parity.alone) == set(parity.batch) == set(OUTPUTS)


@pytest.mark.parametrize(
    "config",
    [
        EncoderConfig(
            patch_dim=24,
            dim=24,
            ffn_dim=40,
            layers=3,
            heads=2,
            conv_pos_kernel=5,
            conv_pos_groups=3,
        ),
        EncoderConfig(
            patch_dim=8,
            dim=48,
            ffn_dim=32,
            layers=1,
            heads=6,
            conv_pos_kernel=32,
            num_buckets=64,
            max_distance=128,
        ),
    ],
    ids=["no projection, odd kernel", "other buckets"],
)
def test_other_sizes_equal_pytorch(config: EncoderConfig) -> None:
    torch.manual_seed(7)
    model = Beats(config, num_labels=11).eval()
    assert_parity(model, create_encoder_graph(model), noise_waveforms(seed=7))


def test_noise_covers_the_shortest_clip_and_a_window() -> None:
    waveforms = noise_waveforms()
    assert [len(waveform) for waveform in waveforms] == list(NOISE_LENGTHS)
    assert (min(NOISE_LENGTHS), max(NOISE_LENGTHS)) == (2800, 160_000)
    assert all(0.01 < np.abs(waveform).max() <= 1 for waveform in waveforms)


def test_has_no_node_that_asks_for_a_shape() -> None:
    graph = create_encoder_graph(finetuned_model()).graph
    operators = {node.op_type for node in graph.node}
    assert not operators & {"Shape", "Size", "NonZero", "ConstantOfShape", "Range", "Loop", "If"}
    assert sum(node.op_type == "Attention" for node in graph.node) == 2


def test_inputs_and_outputs_are_those_of_the_contract() -> None:
    described = {value.name: (value.type, value.shape) for value in session().get_inputs()}
    described |= {value.name: (value.type, value.shape) for value in session().get_outputs()}
    assert described == {
        "waveform": ("tensor(float)", ["batch", "samples"]),
        "num_samples": ("tensor(int64)", ["batch"]),
        "clip_logits": ("tensor(float)", ["batch", 527]),
        "clip_embedding": ("tensor(float)", ["batch", 64]),
        "row_logits": ("tensor(float)", ["batch", "rows", 527]),
        "row_embeddings": ("tensor(float)", ["batch", "rows", 64]),
    }


def test_an_empty_place_in_a_batch_gives_numbers_and_disturbs_nobody() -> None:
    case = cases()["clip_1s"]
    batch, _ = pad_waveforms([np.zeros(0, np.float32), case.waveform[0].numpy()])
    output = run(batch, [0, 16_000])
    alone = run(case.waveform.numpy(), [16_000])
    for name in OUTPUTS:
        assert np.isfinite(output[name]).all()
        np.testing.assert_allclose(output[name][1], alone[name][0], atol=1e-5, rtol=0)


def test_not_a_number_stays_in_its_clip() -> None:
    case = cases()["clip_1s"]
    broken = np.full((1, 16_000), np.nan, dtype=np.float32)
    output = run(np.concatenate([broken, case.waveform.numpy()]), [16_000, 16_000])
    alone = run(case.waveform.numpy(), [16_000])
    for name in OUTPUTS:
        np.testing.assert_allclose(output[name][1], alone[name][0], atol=1e-5, rtol=0)


def test_more_samples_said_than_sent_count_as_those_sent() -> None:
    case = cases()["clip_200ms"]
    said, true = run(case.waveform.numpy(), [160_000]), run(case.waveform.numpy(), [3_200])
    for name in OUTPUTS:
        np.testing.assert_array_equal(said[name], true[name])


def test_the_longest_clip_is_4096_patches() -> None:
    samples = 400 + 160 * (512 * 16 - 1)
    generator = np.random.default_rng(8)
    model = Beats(
        EncoderConfig(
            patch_dim=4, dim=4, ffn_dim=4, layers=1, heads=1, conv_pos_kernel=4, conv_pos_groups=1
        ),
        num_labels=2,
    ).eval()
    graph = create_encoder_graph(model)
    longest = (0.1 * generator.standard_normal(samples)).astype(np.float32)
    assert_parity(model, graph, [longest])
    too_long = np.zeros((1, samples + 2560), dtype=np.float32)
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument):
        create_session(graph).run(
            None, {"waveform": too_long, "num_samples": np.asarray([too_long.shape[1]])}
        )


@pytest.mark.parametrize("key", ["predictor.bias", "encoder.layers.1.attention.gate.bias"])
def test_another_weight_fails_the_parity_check(key: str) -> None:
    graph = create_encoder_graph(finetuned_model())
    other = Beats(finetuned_model().config, num_labels=527).eval()
    weights = finetuned_model().state_dict()
    other.load_state_dict({**weights, key: weights[key] + 0.01})
    with pytest.raises(ParityError, match=r"within 0\.0001 of PyTorch"):
        assert_parity(other, graph, noise_waveforms()[:2])


def test_a_graph_that_gives_nan_fails_the_parity_check() -> None:
    model = Beats(finetuned_model().config, num_labels=527).eval()
    model.load_state_dict(finetuned_model().state_dict())
    graph = create_encoder_graph(model)
    with torch.no_grad():
        model.predictor.bias[0] = float("nan")
    with pytest.raises(ParityError, match=r"clip_logits \(alone\) within"):
        assert_parity(model, graph, noise_waveforms()[:1])


def test_a_model_without_a_predictor_has_logits_of_no_label() -> None:
    graph = create_encoder_graph(pretrained_model())
    waveforms = [cases()[name].waveform[0].numpy() for name in MIXED]
    parity = assert_parity(pretrained_model(), graph, waveforms)
    assert parity.alone["clip_logits"] == parity.batch["row_logits"] == 0
    batch, num_samples = pad_waveforms(waveforms)
    inputs = {"waveform": batch, "num_samples": num_samples}
    logits, row_logits = create_session(graph).run(["clip_logits", "row_logits"], inputs)
    assert logits.shape == (5, 0)
    assert row_logits.shape == (5, 31, 0)
