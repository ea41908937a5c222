"""Augmentation of a batch: pure functions of (batch, generator).

Every random number is drawn on the CPU from the generator given, so that a step is repeated
exactly on any device. Lengths are kept: nothing here changes how many samples a clip has, but a
mixture is as long as the longer of its two clips.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from earshot_training.audio.waveform import MIN_SAMPLES, SAMPLE_RATE_HZ
from earshot_training.config import ConfigError
from earshot_training.data.collate import Batch

MixupTargets = Literal["union", "convex"]


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """What a training batch goes through; zeros switch a part off."""

    max_clip_seconds: float = 10.0
    """Longer clips give a random piece of this length, when they are read."""
    roll: bool = True
    """Rotate each clip by a random number of samples."""
    max_gain_db: float = 6.0
    """Loudness of each clip, uniform in +- this many decibels."""
    band_limit_probability: float = 0.0
    """Share of clips that lose what lies above a random frequency, as a telephone or a low rate of
    samples takes it away: else a set recorded so is known by its missing treble."""
    mixup_probability: float = 0.5
    """Share of clips that get a second clip mixed in."""
    mixup_alpha: float = 1.0
    """Share of the first clip ~ Beta(alpha, alpha); 1 is uniform."""
    mixup_targets: MixupTargets = "convex"
    """`union`: both clips' labels count fully. `convex`: in the proportion of the mixture."""
    time_masks: int = 2
    max_time_mask_share: float = 0.1
    """Widest time mask, as a share of the clip's frames."""
    mel_masks: int = 2
    max_mel_mask_share: float = 0.1
    """Widest frequency mask, as a share of the mel bins."""
    kept_patch_share: float = 1.0
    """Share of the patches that enter the encoder (patch dropping)."""
    whole_batch_probability: float = 0.0
    """Share of batches in which all patches enter all the same, as they will in use."""

    def __post_init__(self) -> None:
        """Refuse values outside their ranges."""
        probabilities = ("band_limit_probability", "mixup_probability", "whole_batch_probability")
        for name in (*probabilities, "max_time_mask_share", "max_mel_mask_share"):
            _expect(0 <= getattr(self, name) <= 1, name, "a share in [0, 1]", getattr(self, name))
        for name in ("max_gain_db", "time_masks", "mel_masks"):
            _expect(getattr(self, name) >= 0, name, "at least 0", getattr(self, name))
        kept, alpha, seconds = self.kept_patch_share, self.mixup_alpha, self.max_clip_seconds
        _expect(0 < kept <= 1, "kept_patch_share", "a share in (0, 1]", kept)
        _expect(alpha > 0, "mixup_alpha", "more than 0", alpha)
        shortest = MIN_SAMPLES / SAMPLE_RATE_HZ
        _expect(seconds >= shortest, "max_clip_seconds", f"at least {shortest}", seconds)


def augment_waveforms(batch: Batch, config: AugmentConfig, generator: torch.Generator) -> Batch:
    """Roll, gain, band limit and mixup, in this order."""
    if config.roll:
        batch = roll(batch, generator)
    if config.max_gain_db > 0:
        batch = gain(batch, generator, max_gain_db=config.max_gain_db)
    if config.band_limit_probability > 0:
        batch = band_limit(batch, generator, probability=config.band_limit_probability)
    if config.mixup_probability > 0:
        batch = mixup(
            batch,
            generator,
            probability=config.mixup_probability,
            alpha=config.mixup_alpha,
            targets=config.mixup_targets,
        )
    return batch


def roll(batch: Batch, generator: torch.Generator) -> Batch:
    """Rotate each clip within its own length; what leaves at the end enters at the start."""
    lengths = batch.num_samples.tolist()
    shares = torch.rand(len(batch.waveforms), 1, generator=generator).squeeze(1)
    shifts = (shares * torch.tensor(lengths)).long().tolist()
    waveforms = batch.waveforms.clone()
    # Clip by clip: an index for every sample would take twenty times as long.
    for row, (length, shift) in enumerate(zip(lengths, shifts, strict=True)):
        waveforms[row, :length] = batch.waveforms[row, :length].roll(shift)
    return batch._replace(waveforms=waveforms)


def gain(batch: Batch, generator: torch.Generator, *, max_gain_db: float) -> Batch:
    """Scale each clip by a gain uniform in decibels; no clipping, the model takes floats."""
    spread = torch.rand(len(batch.waveforms), 1, generator=generator) * 2 - 1
    factor = 10 ** (spread * max_gain_db / 20)
    return batch._replace(waveforms=batch.waveforms * factor.to(batch.waveforms.device))


def band_limit(batch: Batch, generator: torch.Generator, *, probability: float) -> Batch:
    """Take from some clips all that lies above a cut-off, uniform between 3 and 8 kHz."""
    num_clips, num_samples = batch.waveforms.shape
    cutoff_hz = 3000 + 5000 * torch.rand(num_clips, generator=generator)
    is_limited = torch.rand(num_clips, generator=generator) < probability
    if not is_limited.any():
        return batch
    device, rows = batch.waveforms.device, is_limited.nonzero().squeeze(1)
    frequency_hz = torch.fft.rfftfreq(num_samples, d=1 / SAMPLE_RATE_HZ)
    is_lost = (frequency_hz[None, :] > cutoff_hz[rows, None]).to(device)
    rows = rows.to(device)
    spectra = torch.fft.rfft(batch.waveforms[rows]).masked_fill(is_lost, 0)
    limited = torch.fft.irfft(spectra, n=num_samples)
    # A steep filter rings: it must not sound on behind a clip's end.
    is_behind = torch.arange(num_samples, device=device) >= batch.num_samples[rows, None]
    limited = limited.masked_fill(is_behind, 0.0)
    return batch._replace(waveforms=batch.waveforms.index_copy(0, rows, limited))


def mixup(
    batch: Batch,
    generator: torch.Generator,
    *,
    probability: float,
    alpha: float,
    targets: MixupTargets,
) -> Batch:
    """Add to some clips another clip of the batch: share * first + (1 - share) * second.

    A label that is unknown in one of the two clips (weight 0) takes nothing from that clip.
    """
    partner, share = _draw_mixtures(
        len(batch.waveforms), generator, probability=probability, alpha=alpha
    )
    device = batch.waveforms.device
    partner, share = partner.to(device), share.to(device)[:, None]
    is_mixed = (share < 1).squeeze(1)
    merge = _union_targets if targets == "union" else convex_targets
    mixed_targets, mixed_weights = merge(batch, partner, share)
    return Batch(
        waveforms=share * batch.waveforms + (1 - share) * batch.waveforms[partner],
        num_samples=torch.where(
            is_mixed,
            torch.maximum(batch.num_samples, batch.num_samples[partner]),
            batch.num_samples,
        ),
        targets=torch.where(is_mixed[:, None], mixed_targets, batch.targets),
        target_weights=torch.where(is_mixed[:, None], mixed_weights, batch.target_weights),
    )


def _draw_mixtures(
    num_clips: int, generator: torch.Generator, *, probability: float, alpha: float
) -> tuple[Tensor, Tensor]:
    """(B,) partner of each clip and (B,) share of the clip itself, 1 where it stays alone."""
    seed = int(torch.randint(2**62, (), generator=generator))
    shares = torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, num_clips)).float()
    partner = torch.randperm(num_clips, generator=generator)
    is_mixed = torch.rand(num_clips, generator=generator) < probability
    is_mixed &= partner != torch.arange(num_clips)
    return partner, torch.where(is_mixed, shares, 1.0)


class MixedTargets(NamedTuple):
    """What mixtures are told: (B, labels) each."""

    targets: Tensor
    weights: Tensor


class LabelledBatch(Protocol):
    """Clips with targets."""

    @property
    def targets(self) -> Tensor:
        """(B, labels)."""

    @property
    def target_weights(self) -> Tensor:
        """(B, labels), 0 where the target is unknown."""


def _union_targets(batch: LabelledBatch, partner: Tensor, share: Tensor) -> MixedTargets:
    del share
    targets, weights = batch.targets, batch.target_weights
    known = torch.minimum(weights, weights[partner])
    named = weights * (targets > 0)
    named = torch.maximum(named, named[partner])
    return MixedTargets(torch.maximum(targets, targets[partner]), torch.maximum(known, named))


def convex_targets(batch: LabelledBatch, partner: Tensor, share: Tensor) -> MixedTargets:
    """Targets of share (B, 1) of each clip and 1 - share of its partner (B,)."""
    first_weights = share * batch.target_weights
    second_weights = (1 - share) * batch.target_weights[partner]
    weights = first_weights + second_weights
    weighted = first_weights * batch.targets + second_weights * batch.targets[partner]
    return MixedTargets(torch.where(weights > 0, weighted / weights.clamp(min=1e-8), 0.0), weights)


def mask_fbank(
    fbank: Tensor, num_frames: Tensor, config: AugmentConfig, generator: torch.Generator
) -> Tensor:
    """Hide random stretches of time and of frequency: (B, frames, mel) -> the same shape.

    Hidden values become 0, which is the mean of the normalised fbank.
    """
    num_clips, max_frames, mel_bins = fbank.shape
    hidden = torch.zeros(num_clips, max_frames, mel_bins, dtype=torch.bool)
    frames_of_clip = num_frames.cpu()
    for _ in range(config.time_masks):
        widest = config.max_time_mask_share * frames_of_clip
        hidden |= _stretch(max_frames, frames_of_clip, widest, generator)[:, :, None]
    for _ in range(config.mel_masks):
        bins_of_clip = torch.full((num_clips,), mel_bins)
        widest = config.max_mel_mask_share * bins_of_clip
        hidden |= _stretch(mel_bins, bins_of_clip, widest, generator)[:, None, :]
    return fbank.masked_fill(hidden.to(fbank.device), 0.0)


def _stretch(size: int, length: Tensor, widest: Tensor, generator: torch.Generator) -> Tensor:
    """(B, size) bool: one stretch per clip of up to `widest` places within its `length`."""
    width = torch.rand(len(length), generator=generator) * widest
    start = torch.rand(len(length), generator=generator) * (length - width)
    first, last = start.round()[:, None], (start + width).round()[:, None]
    place = torch.arange(size)[None, :]
    return (place >= first) & (place < last)


def draw_kept_patches(
    num_patches: Tensor, *, max_patches: int, share: float, generator: torch.Generator
) -> Tensor:
    """Which patches enter the encoder: (B,) valid counts -> (B, K) sorted indices, no repeats.

    K is the share of the longest clip, so shorter clips keep more of theirs; a clip with fewer
    than K valid patches keeps all of them and fills up with padding, which the encoder masks.
    """
    num_kept = max(1, round(share * int(num_patches.max())))
    order = torch.rand(len(num_patches), max_patches, generator=generator)
    is_padding = torch.arange(max_patches)[None, :] >= num_patches.cpu()[:, None]
    order = order + is_padding
    kept = order.argsort(dim=1)[:, :num_kept]
    return kept.sort(dim=1).values.to(num_patches.device)


def _expect(holds: bool, name: str, expected: str, came: float) -> None:
    if not holds:
        raise ConfigError(f"{name}: expected {expected}, got {came!r}")
