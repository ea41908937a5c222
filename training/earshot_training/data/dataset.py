"""Clips as (waveform, target), with the waveforms of a small corpus kept in memory."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from earshot_training.audio.waveform import Waveform, read_waveform
from earshot_training.data.manifest import Clip
from earshot_training.data.targets import ClipTargets

WaveformCache = Literal["none", "int16", "float32"]
INT16_SCALE = 32_768.0


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
        cache: keep waveforms once read. "int16" holds an hour in 115 MB and loses nothing of
            16-bit files; "float32" takes twice that; "none" reads the file each time.

    """

    def __init__(
        self, clips: Sequence[Clip], targets: ClipTargets, *, cache: WaveformCache = "none"
    ) -> None:
        if len(clips) != len(targets.targets):
            raise ValueError(f"expected targets of {len(clips)} clips, got {len(targets.targets)}")
        self._clips = tuple(clips)
        self._targets = targets
        self._cache = cache
        self._kept: dict[int, npt.NDArray[np.int16] | Waveform] = {}

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> Example:
        return Example(
            waveform=torch.from_numpy(self._waveform(index)),
            targets=self._targets.targets[index],
            target_weights=self._targets.weights[index],
        )

    def _waveform(self, index: int) -> Waveform:
        if index in self._kept:
            return _from_kept(self._kept[index])
        waveform = read_waveform(self._clips[index].path)
        if self._cache == "none":
            return waveform
        self._kept[index] = _to_int16(waveform) if self._cache == "int16" else waveform
        return _from_kept(self._kept[index])


def _to_int16(waveform: Waveform) -> npt.NDArray[np.int16]:
    clipped = np.clip(np.rint(waveform * INT16_SCALE), -INT16_SCALE, INT16_SCALE - 1)
    kept: npt.NDArray[np.int16] = clipped.astype(np.int16)
    return kept


def _from_kept(kept: npt.NDArray[np.int16] | Waveform) -> Waveform:
    if kept.dtype == np.int16:
        return kept.astype(np.float32) / np.float32(INT16_SCALE)
    return kept.astype(np.float32)
