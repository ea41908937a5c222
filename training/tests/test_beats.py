"""The model: golden values, padding, kept patches, layer drop."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from earshot_training.audio.fbank import num_rows
from earshot_training.config import EncoderConfig
from earshot_training.model.beats import Beats, BeatsOutput
from earshot_training.model.patch_embed import patch_grid
from tests.goldens import Case, cases, finetuned_model, pretrained_model, tolerance
from tests.make_tiny_model import TINY_CONFIG

MIXED = ("clip_5s_a", "clip_min_2800", "clip_3s_odd", "clip_1s", "clip_200ms")


def pad(names: tuple[str, ...], extra: int = 0) -> tuple[Tensor, Tensor]:
    waveforms = [cases()[name].waveform[0] for name in names]
    batch = torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True)
    batch = torch.nn.functional.pad(batch, (0, extra))
    return batch, torch.tensor([len(waveform) for waveform in waveforms])


def run_case(model: Beats, case: Case) -> BeatsOutput:
    with torch.no_grad():
        return model(case.waveform, case.num_samples)


def test_equals_the_golden_features(case: Case) -> None:
    vectors = run_case(pretrained_model(), case).patch_vectors[0]
    torch.testing.assert_close(vectors, case.features, atol=tolerance(case.name).features, rtol=0)


def test_equals_the_golden_scores(case: Case) -> None:
    scores = run_case(finetuned_model(), case).clip_logits[0].sigmoid()
    torch.testing.assert_close(scores, case.scores, atol=tolerance(case.name).scores, rtol=0)


@torch.no_grad()
def test_a_clip_in_a_padded_batch_equals_the_clip_alone() -> None:
    model = finetuned_model()
    batch = model(*pad(MIXED, extra=4321))
    for index, name in enumerate(MIXED):
        alone = run_case(model, cases()[name])
        rows = alone.row_logits.shape[1]
        for output in ("clip_logits", "clip_embedding"):
            torch.testing.assert_close(
                getattr(batch, output)[index], getattr(alone, output)[0], atol=1e-5, rtol=0
            )
        for output in ("row_logits", "row_embeddings"):
            values = getattr(batch, output)[index]
            torch.testing.assert_close(values[:rows], getattr(alone, output)[0], atol=1e-5, rtol=0)
            assert values.shape[0] > rows
            assert not values[rows:].any()
        assert (~batch.patch_padding[index]).sum() == 8 * rows


@torch.no_grad()
def test_clip_answers_are_means_of_the_valid_rows() -> None:
    waveforms, num_samples = pad(MIXED)
    output = finetuned_model()(waveforms, num_samples)
    for index, rows in enumerate(num_rows(num_samples).tolist()):
        for clip, row in (("clip_logits", "row_logits"), ("clip_embedding", "row_embeddings")):
            mean = getattr(output, row)[index, :rows].mean(dim=0)
            torch.testing.assert_close(getattr(output, clip)[index], mean, atol=2e-6, rtol=0)


@torch.no_grad()
def test_keeping_all_patches_changes_nothing() -> None:
    model = finetuned_model()
    waveforms, num_samples = pad(MIXED)
    whole = model(waveforms, num_samples)
    kept = torch.arange(whole.patch_vectors.shape[1]).expand(len(MIXED), -1)
    for positions in ("true", "compact"):
        output = model(waveforms, num_samples, kept=kept, positions=positions)
        valid = ~whole.patch_padding
        torch.testing.assert_close(
            output.patch_vectors[valid], whole.patch_vectors[valid], atol=1e-6, rtol=0
        )
        torch.testing.assert_close(output.clip_logits, whole.clip_logits, atol=1e-6, rtol=0)
        assert output.row_embeddings is None
        assert output.row_logits is None


@torch.no_grad()
def test_a_kept_prefix_compacted_equals_the_shorter_clip() -> None:
    model, case = finetuned_model(), cases()["clip_3s_odd"]
    shorter = model(case.waveform[:, : 400 + 159 * 160], torch.tensor([400 + 159 * 160]))
    kept = torch.arange(80).unsqueeze(0)
    output = model(case.waveform, case.num_samples, kept=kept, positions="compact")
    torch.testing.assert_close(output.patch_vectors, shorter.patch_vectors, atol=1e-5, rtol=0)
    torch.testing.assert_close(output.clip_logits, shorter.clip_logits, atol=1e-5, rtol=0)


@torch.no_grad()
def test_true_positions_know_the_distance_between_kept_patches() -> None:
    """A gap changes the answer at true positions and not at compact ones.

    The clip is the same sound twice, so its kept halves hold the same patches; only their places
    differ.
    """
    model, piece = finetuned_model(), torch.randn(1, 16, 128)
    fbank, rows = torch.cat([piece, piece, piece], dim=1), torch.tensor([3])
    near, far = torch.arange(16).unsqueeze(0), torch.cat([torch.arange(8), torch.arange(16, 24)])
    answers = {
        (positions, gap): model.forward_fbank(
            fbank, rows, kept=kept, positions=positions
        ).clip_embedding
        for positions in ("true", "compact")
        for gap, kept in (("near", near), ("far", far.unsqueeze(0)))
    }
    torch.testing.assert_close(answers["compact", "near"], answers["compact", "far"])
    assert (answers["true", "near"] - answers["true", "far"]).abs().max() > 1e-3


@torch.no_grad()
def test_clips_with_fewer_kept_patches_are_filled_with_padding() -> None:
    model = finetuned_model()
    waveforms, num_samples = pad(("clip_1s", "clip_200ms"))
    kept = torch.stack(
        [torch.arange(0, 48, 2), torch.cat([torch.arange(0, 8), torch.arange(8, 24)])]
    )
    together = model(waveforms, num_samples, kept=kept)
    alone = model(waveforms[1:], num_samples[1:], kept=kept[1:, :8])
    torch.testing.assert_close(together.clip_logits[1:], alone.clip_logits, atol=1e-5, rtol=0)


def test_layer_vectors_end_with_the_patch_vectors() -> None:
    case = cases()["clip_200ms"]
    model = pretrained_model()
    with torch.no_grad():
        output = model(case.waveform, case.num_samples, return_layers=True)
    assert len(output.layer_vectors) == model.config.layers
    torch.testing.assert_close(output.layer_vectors[-1], output.patch_vectors, atol=0, rtol=0)
    assert run_case(model, case).layer_vectors == []


def test_layer_drop_follows_its_seed() -> None:
    torch.manual_seed(5)
    config = EncoderConfig(
        patch_dim=8, dim=16, ffn_dim=16, layers=8, heads=2, conv_pos_kernel=4, layer_drop=0.5
    )
    model, case = Beats(config).train(), cases()["clip_200ms"]

    def run(seed: int) -> tuple[bool, ...]:
        model.encoder.seed_layer_drop(seed)
        layers = model(case.waveform, case.num_samples, return_layers=True).layer_vectors
        return tuple(before is after for before, after in pairwise(layers))

    assert run(1) == run(1)
    assert len({run(seed) for seed in range(5)}) > 1
    assert any(run(1))
    model.eval()
    assert not any(run(1))


def test_every_weight_gets_a_gradient() -> None:
    model = Beats(TINY_CONFIG, num_labels=3).train()
    waveforms, num_samples = pad(("clip_1s", "clip_200ms"))
    model(waveforms, num_samples).clip_logits.square().sum().backward()
    untouched = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert untouched == []


def test_weights_start_as_in_the_released_code() -> None:
    config = EncoderConfig(patch_dim=64, dim=192, ffn_dim=768, layers=2, heads=6)
    torch.manual_seed(6)
    block, encoder = (model := Beats(config).encoder).layers[0], model
    gain = (8 * config.layers) ** -0.25
    expected = {
        block.attention.query.weight: (2 / 384) ** 0.5,
        block.attention.value.weight: gain * (2 / 384) ** 0.5,
        block.expand.weight: gain * (2 / 960) ** 0.5,
        block.attention.gate.weight: 0.02,
        encoder.relative_bias.table.weight: 0.02,
        encoder.position_conv.conv.weight: (4 / (128 * 192)) ** 0.5,
    }
    for weight, std in expected.items():
        assert weight.std().item() == pytest.approx(std, rel=0.15)
    assert not block.contract.bias.any()
    assert block.attention.gate_scale.tolist() == [1.0] * 6


def test_patches_are_time_major_tiles() -> None:
    model = pretrained_model()
    fbank = torch.randn(1, 40, 128)
    tiles = model.patch_embed.patchify(fbank)
    assert tuple(tiles.shape) == (1, 16, 256)
    assert patch_grid(2) == (2, 8)
    torch.testing.assert_close(tiles[0, 11].view(16, 16), fbank[0, 16:32, 48:64], atol=0, rtol=0)


def test_refuses_less_than_a_row() -> None:
    with pytest.raises(ValueError, match="frames >= 16"):
        pretrained_model()(torch.zeros(1, 2799), torch.tensor([2799]))


@torch.no_grad()
def test_the_head_is_float32_inside_autocast() -> None:
    """bfloat16 would round away what tells means over patches apart."""
    model = finetuned_model()
    waveforms, num_samples = pad(MIXED)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(waveforms, num_samples)
    assert output.clip_logits.dtype == torch.float32
    for logits, embeddings in (
        (output.clip_logits, output.clip_embedding),
        (output.row_logits[0, :1], output.row_embeddings[0, :1]),
    ):
        expected = model.predictor(embeddings)
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)
        half = model.predictor(embeddings.bfloat16().float())
        assert (half - expected).abs().max() > 1e-4
