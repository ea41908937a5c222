"""Augmentation of fbanks against the same done to waveforms, and by its invariants."""

import math

import pytest
import torch

from earshot_training.audio.fbank import LOG_FLOOR, Fbank
from earshot_training.config import ConfigError, FbankStatistics
from earshot_training.data.augment_fbank import (
    FbankAugmentConfig,
    augment_fbank,
    mix,
    warp,
)

STATISTICS = FbankStatistics()
TO_FBANK = Fbank(STATISTICS)
SILENT = FbankAugmentConfig(
    frames=96,
    max_warp=0,
    tone_nats=0,
    max_gain_db=0,
    mixup_probability=0,
    time_masks=0,
    mel_masks=0,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(num_clips: int, samples: int = 16_000, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(num_clips, samples, generator=seeded(seed))


def to_log_power(fbank: torch.Tensor) -> torch.Tensor:
    return fbank * (2 * STATISTICS.std) + STATISTICS.mean


def test_all_parts_off_leaves_the_first_frames_as_they_are():
    fbank = TO_FBANK(noise(2))
    mixture = augment_fbank(fbank, SILENT, seeded(), statistics=STATISTICS)
    torch.testing.assert_close(mixture.fbank, fbank[:, :96], rtol=1e-4, atol=1e-4)
    assert mixture.share.tolist() == [1, 1]


def test_the_same_generator_gives_the_same_again_and_another_one_not():
    config = FbankAugmentConfig(frames=64)
    fbank = TO_FBANK(noise(4))
    first, again, other = (
        augment_fbank(fbank, config, seeded(seed), statistics=STATISTICS) for seed in (0, 0, 1)
    )
    assert torch.equal(first.fbank, again.fbank)
    assert not torch.equal(first.fbank, other.fbank)
    assert first.fbank.shape == (4, 64, 128)
    assert torch.isfinite(first.fbank).all()


def test_a_warp_moves_a_tone_as_a_change_of_its_frequency_does():
    """A tone of f Hz, its pitch changed by p, peaks where a tone of p x f Hz does."""
    time = torch.arange(16_000) / 16_000
    fbank = TO_FBANK((0.3 * torch.sin(2 * math.pi * 1000 * time))[None])
    for seed in range(6):
        drawn = (0.3 * (2 * torch.rand(2, 1, 1, generator=seeded(seed)) - 1)).exp()
        pitch = float(drawn[1])
        warped = warp(fbank, seeded(seed), frames=64, max_warp=0.3)
        played = TO_FBANK((0.3 * torch.sin(2 * math.pi * 1000 * pitch * time))[None])
        difference = int(warped[0, 32].argmax()) - int(played[0, 32].argmax())
        assert abs(difference) <= 1, (seed, pitch)


def test_a_warp_moves_an_onset_by_the_tempo():
    waveform = torch.zeros(1, 16_000)
    waveform[0, 8_000:] = noise(1, 8_000)[0]
    onset = int((TO_FBANK(waveform)[0].mean(dim=1).diff()).argmax())
    for seed in range(6):
        tempo = float((0.3 * (2 * torch.rand(2, 1, 1, generator=seeded(seed)) - 1)).exp()[0])
        warped = warp(TO_FBANK(waveform), seeded(seed), frames=72, max_warp=0.3)
        moved = int(warped[0].mean(dim=1).diff().argmax())
        assert moved == pytest.approx(onset / tempo, abs=1.5), (seed, tempo)


def test_a_mixture_of_fbanks_is_the_fbank_of_a_mixture():
    """Waveforms are mixed by the amplitudes that the powers say; strangers' phases cancel out."""
    waveforms = torch.stack([noise(1)[0], 0.02 * noise(1, seed=1)[0]])
    log_power = to_log_power(TO_FBANK(waveforms))
    mixture = next(
        found
        for seed in range(20)
        if (found := mix(log_power, seeded(seed), probability=1.0)).partner.tolist() == [1, 0]
    )
    level = log_power.logsumexp(dim=2).quantile(0.95, dim=1)
    for row, other in ((0, 1), (1, 0)):
        share = mixture.share[row]
        first = share / (level[row] / 2).exp()
        second = (1 - share) / (level[other] / 2).exp()
        scale = (first.square() + second.square()).sqrt()
        mixed = (first * waveforms[row] + second * waveforms[other]) / scale
        expected = to_log_power(TO_FBANK(mixed[None]))[0]
        # Over all frames: in one frame the phases do not cancel out.
        torch.testing.assert_close(
            mixture.fbank[row].logsumexp(dim=0), expected.logsumexp(dim=0), rtol=0, atol=0.25
        )


def test_a_share_is_heard_whatever_the_levels():
    """A clip a hundred times louder takes no more of the mixture than its share."""
    quiet = to_log_power(TO_FBANK(noise(4)))
    loud = quiet.clone()
    loud[0] += 2 * math.log(100)
    mixtures = [mix(log_power, seeded(3), probability=1.0) for log_power in (quiet, loud)]
    offset = mixtures[1].fbank - mixtures[0].fbank
    for row in range(4):
        assert offset[row].std() < 1e-3


def test_nothing_is_mixed_where_the_probability_is_zero():
    log_power = to_log_power(TO_FBANK(noise(4)))
    mixture = mix(log_power, seeded(), probability=0.0)
    assert torch.equal(mixture.fbank, log_power.clamp(min=math.log(LOG_FLOOR)))
    assert mixture.share.tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"frames": 100}, "frames: expected a multiple of 16, got 100"),
        ({"max_warp": -0.1}, "max_warp"),
        ({"mixup_probability": 1.5}, "mixup_probability"),
    ],
)
def test_values_out_of_range_are_named(values: dict[str, float], named: str):
    with pytest.raises(ConfigError, match=named):
        FbankAugmentConfig(**values)
