"""Augmentation of fbanks: tempo, pitch, tone, loudness, mixing and masks, all on the fbank.

Pure functions of (batch, generator), as in `augment.py`; random numbers are drawn on the CPU.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from earshot_training.audio.fbank import LOG_FLOOR, LOW_HZ, SAMPLE_RATE
from earshot_training.config import MEL_BINS, ConfigError, FbankStatistics
from earshot_training.data.augment import AugmentConfig, mask_fbank

TONE_POINTS = 5
LOUD_QUANTILE = 0.95
NATS_PER_DB = math.log(10) / 10


@dataclass(frozen=True, kw_only=True)
class FbankAugmentConfig:
    """What a batch of fbanks goes through; zeros switch a part off."""

    frames: int = 256
    """Length of what is trained on, in whole rows of 16 frames."""
    max_warp: float = 0.2
    """Tempo and pitch of each piece, both by factors of up to e ** +- this."""
    tone_nats: float = 0.5
    """Standard deviation of a smooth random equaliser, in nats of power."""
    max_gain_db: float = 6.0
    """Loudness of each mixture, uniform in +- this many decibels."""
    mixup_probability: float = 0.8
    """Share of pieces that get a second one mixed in."""
    time_masks: int = 2
    mel_masks: int = 2
    max_mask_share: float = 0.1
    """Widest mask, as a share of the frames or of the mel bins."""

    def __post_init__(self) -> None:
        """Refuse values outside their ranges."""
        if self.frames < 16 or self.frames % 16:
            raise ConfigError(f"frames: expected a multiple of 16, got {self.frames}")
        for name in ("max_warp", "tone_nats", "max_gain_db", "time_masks", "mel_masks"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}: expected at least 0, got {getattr(self, name)}")
        for name in ("mixup_probability", "max_mask_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}: expected a share in [0, 1], got {getattr(self, name)}")

    @property
    def piece_frames(self) -> int:
        """Frames that a piece needs to have before its tempo is changed."""
        return math.ceil(self.frames * math.exp(self.max_warp))

    @property
    def masks(self) -> AugmentConfig:
        """The part that is masks."""
        return AugmentConfig(
            time_masks=self.time_masks,
            mel_masks=self.mel_masks,
            max_time_mask_share=self.max_mask_share,
            max_mel_mask_share=self.max_mask_share,
        )


class Mixture(NamedTuple):
    """Fbanks, and which clips are to be heard in them."""

    fbank: Tensor
    """(B, frames, 128), normalised."""
    partner: Tensor
    """(B,) int64, the second clip of each mixture."""
    share: Tensor
    """(B,) how much of it is the first clip; 1 where that stays alone."""


def augment_fbank(
    fbank: Tensor,
    config: FbankAugmentConfig,
    generator: torch.Generator,
    *,
    statistics: FbankStatistics,
) -> Mixture:
    """Warp, mix, tone, gain and masks: (B, piece_frames, 128) -> (B, frames, 128)."""
    fbank = warp(fbank, generator, frames=config.frames, max_warp=config.max_warp)
    log_power = fbank * (2 * statistics.std) + statistics.mean
    log_power, partner, share = mix(log_power, generator, probability=config.mixup_probability)
    log_power = log_power + _tone(log_power, config, generator)
    fbank = (log_power - statistics.mean) / (2 * statistics.std)
    num_frames = torch.full((len(fbank),), config.frames)
    return Mixture(mask_fbank(fbank, num_frames, config.masks, generator), partner, share)


def warp(fbank: Tensor, generator: torch.Generator, *, frames: int, max_warp: float) -> Tensor:
    """Change tempo and pitch of each piece: (B, longer, 128) -> (B, frames, 128), bilinear.

    Pitch moves along the mel scale as a change of all frequencies by one factor does. What would
    come from above the highest bin or below the lowest repeats that bin.
    """
    num_clips, num_given = fbank.shape[:2]
    factors = (max_warp * (2 * torch.rand(2, num_clips, 1, generator=generator) - 1)).exp()
    tempo, pitch = factors
    place = (torch.arange(frames) + 0.5) * tempo - 0.5  # (B, frames)
    mel_low, mel_high = _mel(torch.tensor(LOW_HZ)), _mel(torch.tensor(SAMPLE_RATE / 2))
    step = (mel_high - mel_low) / (MEL_BINS + 1)
    hz = 700 * (((mel_low + step * (1 + torch.arange(MEL_BINS))) / 1127).exp() - 1)
    mel_bin = (_mel(hz / pitch) - mel_low) / step - 1  # (B, 128)
    grid = torch.stack(
        [
            (2 * mel_bin / (MEL_BINS - 1) - 1)[:, None, :].expand(-1, frames, -1),
            (2 * place / (num_given - 1) - 1)[:, :, None].expand(-1, -1, MEL_BINS),
        ],
        dim=3,
    )
    warped = nn.functional.grid_sample(
        fbank[:, None], grid.to(fbank), padding_mode="border", align_corners=True
    )
    return warped[:, 0]


def mix(log_power: Tensor, generator: torch.Generator, *, probability: float) -> Mixture:
    """Add to some pieces another one of the batch, (B, frames, 128) of log power.

    The share of the first is uniform, and is what is heard of it: levels are evened out first, as
    in between-class learning (Tokozume et al. 2018, arXiv 1711.10282, equation 2). The powers of
    two recordings add up, their phases being strangers.
    """
    num_clips = len(log_power)
    partner = torch.randperm(num_clips, generator=generator)
    share = torch.rand(num_clips, generator=generator)
    is_mixed = torch.rand(num_clips, generator=generator) < probability
    is_mixed &= partner != torch.arange(num_clips)
    share = torch.where(is_mixed, share, 1.0).to(log_power.device)
    partner = partner.to(log_power.device)
    level = log_power.logsumexp(dim=2).quantile(LOUD_QUANTILE, dim=1)
    # Amplitudes in proportion to share / amplitude, then scaled to squares that sum to 1.
    first = share.log() - level / 2
    second = (1 - share).log() - level[partner] / 2
    norm = torch.logaddexp(2 * first, 2 * second)
    mixed = torch.logaddexp(
        log_power + (2 * first - norm)[:, None, None],
        log_power[partner] + (2 * second - norm)[:, None, None],
    )
    is_mixed = is_mixed.to(log_power.device)[:, None, None]
    return Mixture(torch.where(is_mixed, mixed, log_power).clamp(min=_FLOOR), partner, share)


_FLOOR = math.log(LOG_FLOOR)


def _tone(log_power: Tensor, config: FbankAugmentConfig, generator: torch.Generator) -> Tensor:
    """(B, 1, 128) nats: a gain, and straight lines between random points of an equaliser."""
    num_clips = len(log_power)
    points = config.tone_nats * torch.randn(num_clips, 1, TONE_POINTS, generator=generator)
    tone = nn.functional.interpolate(points, size=MEL_BINS, mode="linear", align_corners=True)
    gain_db = config.max_gain_db * (2 * torch.rand(num_clips, 1, 1, generator=generator) - 1)
    return (tone + NATS_PER_DB * gain_db).to(log_power)


def _mel(frequency_hz: Tensor) -> Tensor:
    return 1127 * torch.log1p(frequency_hz / 700)
