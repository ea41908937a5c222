"""Clips as (waveform, target)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from earshot_training.data.clip_waveforms import ClipWaveforms, WaveformCache
from earshot_training.data.manifest import Clip
from earshot_training.data.targets import ClipTargets


class Example(NamedTuple):
    """One clip, ready for a batch."""

    waveform: Tensor
    """(samples,) float32 in [-1, 1] at 16 kHz."""
    targets: Tensor
    """(labels,) float32."""
    target_weights: Tensor
    """(labels,) float32."""


class ClipDataset:
    """`dataset[i]` is clip i as an `Example`.

    Args:
        clips: the list, in its own order.
        targets: what the clips' labels mean for the loss.
        cache: whether waveforms are kept in memory, see `ClipWaveforms`.

    """

    def __init__(
        self, clips: Sequence[Clip], targets: ClipTargets, *, cache: WaveformCache = "none"
    ) -> None:
        if len(clips) != len(targets.targets):
            raise ValueError(f"expected targets of {len(clips)} clips, got {len(targets.targets)}")
        self._waveforms = ClipWaveforms(clips, cache=cache)
        self._targets = targets

    def __len__(self) -> int:
        return len(self._waveforms)

    def __getitem__(self, index: int) -> Example:
        return Example(
            waveform=torch.from_numpy(self._waveforms[index]),
            targets=self._targets.targets[index],
            target_weights=self._targets.weights[index],
        )
