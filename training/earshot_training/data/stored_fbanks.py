"""Fbanks of a list of clips, kept in memory: batches of pieces of them, without decoding twice."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from earshot_training.audio.fbank import FRAME_SHIFT, SAMPLE_RATE, Fbank
from earshot_training.data.clip_waveforms import ClipWaveforms
from earshot_training.data.sampler import ClipSampler, SamplerPosition, mix_seed
from earshot_training.data.targets import ClipClasses, ClipTargets


class FbankBatch(NamedTuple):
    """Pieces of clips, all of one length."""

    fbank: Tensor
    """(B, frames, 128) float32, normalised."""
    targets: Tensor
    """(B, labels) float32 in [0, 1]."""
    target_weights: Tensor
    """(B, labels) float32, 0 where the target is unknown."""
    classes: Tensor
    """(B,) int64, which class a clip is of."""

    @property
    def num_clips(self) -> int:
        """How many clips."""
        return len(self.fbank)

    @property
    def audio_seconds(self) -> float:
        """Length of all pieces together."""
        return self.fbank.shape[0] * self.fbank.shape[1] * FRAME_SHIFT / SAMPLE_RATE

    def to(self, device: torch.device) -> "FbankBatch":
        """Copy the batch to another device."""
        return FbankBatch(*(part.to(device, non_blocking=True) for part in self))

    def pin_memory(self) -> "FbankBatch":
        """Copy the batch to memory that a card reads while the processor goes on."""
        return FbankBatch(*(part.pin_memory() for part in self))


class FbankBatches:
    """Batches of random pieces of clips, in the sampler's order.

    An hour takes 92 MB, in float16. A piece goes on at the clip's start where its end comes first,
    so that a clip shorter than a piece is heard again.

    Args:
        waveforms: of the clips.
        fbank: makes theirs.
        targets: of the clips.
        classes: of the clips.
        sampler: says which come next.
        piece_frames: length of the pieces.
        seed: of the pieces; they follow from it and from the position.

    """

    def __init__(
        self,
        waveforms: ClipWaveforms,
        *,
        fbank: Fbank,
        targets: ClipTargets,
        classes: ClipClasses,
        sampler: ClipSampler,
        piece_frames: int,
        seed: int,
    ) -> None:
        self._waveforms = waveforms
        self._to_fbank = fbank
        self._targets = targets
        self._classes = classes
        self._sampler = sampler
        self._piece_frames = piece_frames
        self._seed = seed
        self._kept: dict[int, Tensor] = {}

    @property
    def position(self) -> SamplerPosition:
        """Of the batch that comes next."""
        return self._sampler.position

    def restore(self, position: SamplerPosition) -> None:
        """Continue from a position."""
        self._sampler.restore(position)

    def draw(self) -> Callable[[], FbankBatch]:
        """Take the next batch's turn; its pieces are read, on the CPU, by calling the answer."""
        position = self.position
        seed = mix_seed(self._seed, position["epoch"], position["batch"])
        return partial(self._read, self._sampler.next_batch(), seed)

    def _read(self, indices: list[int], seed: int) -> FbankBatch:
        generator = torch.Generator().manual_seed(seed)
        return FbankBatch(
            fbank=torch.stack([self._piece(index, generator) for index in indices]).float(),
            targets=self._targets.targets[indices],
            target_weights=self._targets.weights[indices],
            classes=self._classes.class_of_clip[indices],
        )

    def _piece(self, index: int, generator: torch.Generator) -> Tensor:
        fbank = self._fbank(index)
        start = torch.randint(len(fbank), (), generator=generator)
        return fbank[(start + torch.arange(self._piece_frames)) % len(fbank)]

    @torch.no_grad()
    def _fbank(self, index: int) -> Tensor:
        if index not in self._kept:
            waveform = torch.from_numpy(self._waveforms[index])
            self._kept[index] = self._to_fbank(waveform[None])[0].half()
        return self._kept[index]
