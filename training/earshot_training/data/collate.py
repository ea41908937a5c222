"""Clips of different lengths -> one batch."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from earshot_training.audio.waveform import SAMPLE_RATE_HZ
from earshot_training.data.dataset import Example


class Batch(NamedTuple):
    """Clips that are trained on together."""

    waveforms: Tensor
    """(B, samples) float32, zero past each clip's own length."""
    num_samples: Tensor
    """(B,) int64, each clip's own length."""
    targets: Tensor
    """(B, labels) float32 in [0, 1]."""
    target_weights: Tensor
    """(B, labels) float32, 0 where the target is unknown."""

    @property
    def num_clips(self) -> int:
        """How many clips."""
        return len(self.waveforms)

    @property
    def audio_seconds(self) -> float:
        """Length of all clips together, padding left out."""
        return int(self.num_samples.sum()) / SAMPLE_RATE_HZ

    def to(self, device: torch.device) -> "Batch":
        """Copy the batch to another device."""
        return Batch(*(part.to(device, non_blocking=True) for part in self))

    def pin_memory(self) -> "Batch":
        """Copy the batch to memory that a card reads while the processor goes on."""
        return Batch(*(part.pin_memory() for part in self))


def collate(examples: Sequence[Example]) -> Batch:
    """Pad the waveforms with zeros to the longest."""
    num_samples = torch.tensor([len(example.waveform) for example in examples])
    waveforms = torch.zeros(len(examples), int(num_samples.max()))
    for row, example in enumerate(examples):
        waveforms[row, : len(example.waveform)] = example.waveform
    return Batch(
        waveforms=waveforms,
        num_samples=num_samples,
        targets=torch.stack([example.targets for example in examples]),
        target_weights=torch.stack([example.target_weights for example in examples]),
    )
