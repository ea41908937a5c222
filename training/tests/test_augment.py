"""Augmentation against plain NumPy, by its invariants, and repeated by its generator."""

import numpy as np
import pytest
import torch

from earshot_training.config import ConfigError
from earshot_training.data.augment import (
    AugmentConfig,
    augment_waveforms,
    band_limit,
    draw_kept_patches,
    gain,
    mask_fbank,
    mixup,
    roll,
)
from earshot_training.data.collate import Batch

LENGTHS = (8_000, 12_000, 5_000, 12_000)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def batch() -> Batch:
    waveforms = torch.zeros(4, 12_000)
    for row, length in enumerate(LENGTHS):
        waveforms[row, :length] = torch.randn(length, generator=seeded(row))
    return Batch(
        waveforms=waveforms,
        num_samples=torch.tensor(LENGTHS),
        targets=torch.eye(4),
        target_weights=torch.ones(4, 4),
    )


def test_roll_rotates_each_clip_within_its_own_length(batch: Batch):
    rolled = roll(batch, seeded())
    for row, length in enumerate(LENGTHS):
        before = batch.waveforms[row, :length].numpy()
        after = rolled.waveforms[row, :length].numpy()
        shift = int(np.flatnonzero(after == before[0])[0])
        np.testing.assert_array_equal(after, np.roll(before, shift))
        assert not rolled.waveforms[row, length:].any()
    assert torch.equal(rolled.targets, batch.targets)


def test_gain_scales_each_clip_by_decibels_within_the_limit(batch: Batch):
    louder = gain(batch, seeded(), max_gain_db=6.0)
    factors = [
        (louder.waveforms[row, :length] / batch.waveforms[row, :length])
        for row, length in enumerate(LENGTHS)
    ]
    decibels = 20 * torch.log10(torch.stack([factor.mean() for factor in factors]))
    assert (decibels.abs() <= 6.0).all()
    assert decibels.std() > 0.1
    for factor in factors:
        torch.testing.assert_close(factor, factor.mean().expand_as(factor))


def test_a_band_limit_takes_the_treble_of_some_clips_and_leaves_the_rest(batch: Batch):
    many = Batch(*(part.repeat(16, *[1] * (part.ndim - 1)) for part in batch))
    limited = band_limit(many, seeded(), probability=0.5)
    cutoffs_hz = []
    for before, after, length in zip(
        many.waveforms, limited.waveforms, many.num_samples.tolist(), strict=True
    ):
        assert not after[length:].any()
        if torch.equal(before, after):
            continue
        levels_db = 20 * torch.log10(torch.fft.rfft(after).abs() + 1e-9)
        before_db = 20 * torch.log10(torch.fft.rfft(before).abs() + 1e-9)
        hz = torch.linspace(0, 8000, len(levels_db))
        lost = (before_db - levels_db).unfold(0, 50, 50).mean(dim=1) > 10
        cutoffs_hz.append(float(hz.unfold(0, 50, 50)[:, 0][lost.float().argmax()]))
        assert (levels_db - before_db)[hz < 2800].abs().mean() < 1
    assert 16 <= len(cutoffs_hz) <= 48
    assert all(2900 <= cutoff <= 8000 for cutoff in cutoffs_hz)
    assert max(cutoffs_hz) - min(cutoffs_hz) > 2000
    assert torch.equal(limited.targets, many.targets)
    assert torch.equal(band_limit(batch, seeded(), probability=0.0).waveforms, batch.waveforms)


def test_mixup_adds_waveforms_and_targets_in_one_share(batch: Batch):
    mixed = mixup(batch, seeded(1), probability=1.0, alpha=1.0, targets="convex")
    is_mixed = (mixed.targets > 0).sum(dim=1) == 2
    assert is_mixed.sum() >= 3
    for row in range(4):
        shares = mixed.targets[row]
        torch.testing.assert_close(shares.sum(), torch.tensor(1.0))
        expected = (shares[:, None] * batch.waveforms).sum(dim=0)
        torch.testing.assert_close(mixed.waveforms[row], expected)
        heard = [LENGTHS[other] for other in range(4) if shares[other] > 0]
        assert mixed.num_samples[row] == max(heard)
    torch.testing.assert_close(mixed.target_weights, torch.ones(4, 4))


def test_mixup_of_probability_zero_changes_nothing(batch: Batch):
    same = mixup(batch, seeded(), probability=0.0, alpha=1.0, targets="union")
    for part, wanted in zip(same, batch, strict=True):
        assert torch.equal(part, wanted)


@pytest.mark.parametrize("kind", ["convex", "union"])
def test_mixup_takes_nothing_from_unknown_labels(kind: str):
    pair = Batch(
        waveforms=torch.ones(2, 4_000),
        num_samples=torch.tensor([4_000, 4_000]),
        # Labels: named in A, absent in B; unknown in A, named in B; absent in A, unknown in B;
        # untrained; absent in both with weight 1/2.
        targets=torch.tensor([[1.0, 0, 0, 0, 0], [0, 1.0, 0, 0, 0]]),
        target_weights=torch.tensor([[1.0, 0, 0.5, 0, 0.5], [0.5, 1.0, 0, 0, 0.5]]),
    )
    tries = (
        mixup(pair, seeded(seed), probability=1.0, alpha=1.0, targets=kind) for seed in range(20)
    )
    mixed = next(tried for tried in tries if not torch.equal(tried.targets, pair.targets))
    if kind == "union":
        expected_targets, expected_weights = [1.0, 1.0, 0, 0, 0], [1.0, 1.0, 0, 0, 0.5]
        assert mixed.targets.tolist() == [expected_targets, expected_targets]
        assert mixed.target_weights.tolist() == [expected_weights, expected_weights]
        return
    b = float(mixed.target_weights[0, 1])  # the second label is known in B alone
    a = 1 - b
    assert 0 < a < 1
    torch.testing.assert_close(mixed.target_weights[0], torch.tensor([a + b / 2, b, a / 2, 0, 0.5]))
    torch.testing.assert_close(mixed.targets[0], torch.tensor([a / (a + b / 2), 1.0, 0, 0, 0]))


def test_masks_hide_stretches_of_the_clip_and_nothing_else():
    fbank = torch.rand(3, 100, 128) + 1
    frames = torch.tensor([100, 60, 20])
    config = AugmentConfig(time_masks=1, max_time_mask_share=0.5, mel_masks=1)
    masked = mask_fbank(fbank, frames, config, seeded())
    hidden = masked == 0
    assert torch.equal(masked[~hidden], fbank[~hidden])
    for row in range(3):
        times = hidden[row].all(dim=1).nonzero().flatten()
        mels = hidden[row].all(dim=0).nonzero().flatten()
        assert 0 < len(times) <= frames[row] / 2 + 1
        assert times.max() < frames[row]
        assert len(times) == times.max() - times.min() + 1
        assert len(mels) <= 0.1 * 128 + 1
        outer = hidden[row].any(dim=1)[:, None] & hidden[row].any(dim=0)[None, :]
        assert (hidden[row] <= outer).all()


def test_kept_patches_are_sorted_unique_and_padding_comes_last():
    kept = draw_kept_patches(
        torch.tensor([40, 24, 8]), max_patches=40, share=0.5, generator=seeded()
    )
    assert kept.shape == (3, 20)
    assert (kept.diff(dim=1) > 0).all()
    assert (kept[1] < 24).all()
    assert (kept[2] < 8).sum() == 8
    assert len({tuple(row.tolist()) for row in kept}) == 3


def test_everything_repeats_with_its_generator(batch: Batch):
    config = AugmentConfig(mixup_probability=1.0, band_limit_probability=0.5)
    first, second = (augment_waveforms(batch, config, seeded(4)) for _ in range(2))
    other = augment_waveforms(batch, config, seeded(5))
    for part, same in zip(first, second, strict=True):
        assert torch.equal(part, same)
    assert not torch.equal(first.waveforms, other.waveforms)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mixup_probability", 1.5),
        ("band_limit_probability", -0.1),
        ("kept_patch_share", 0.0),
        ("mixup_alpha", 0.0),
        ("max_gain_db", -1.0),
        ("max_clip_seconds", 0.1),
    ],
)
def test_values_out_of_range_are_refused_by_name(name: str, value: float):
    with pytest.raises(ConfigError, match=f"{name}: expected .*, got {value}"):
        AugmentConfig(**{name: value})
