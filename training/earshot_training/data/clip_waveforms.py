"""The waveforms of a list of clips, those of a small corpus kept in memory."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from earshot_training.audio.waveform import Waveform, read_waveform
from earshot_training.data.manifest import Clip

WaveformCache = Literal["none", "int16", "float32"]
INT16_SCALE = 32_768.0


class ClipWaveforms:
    """`waveforms[i]` is clip i: (samples,) float32 in [-1, 1], mono, 16 kHz.

    Args:
        clips: the list, in its own order.
        cache: keep waveforms once read. "int16" holds an hour in 115 MB and loses nothing of
            16-bit files; "float32" takes twice that; "none" reads the file each time.

    """

    def __init__(self, clips: Sequence[Clip], *, cache: WaveformCache = "none") -> None:
        self._clips = tuple(clips)
        self._cache = cache
        self._kept: dict[int, npt.NDArray[np.int16] | Waveform] = {}

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> Waveform:
        if index in self._kept:
            return _from_kept(self._kept[index])
        waveform = read_waveform(self._clips[index].path)
        if self._cache == "none":
            return waveform
        self._kept[index] = _to_int16(waveform) if self._cache == "int16" else waveform
        return _from_kept(self._kept[index])


def _to_int16(waveform: Waveform) -> npt.NDArray[np.int16]:
    clipped = np.clip(np.rint(waveform * INT16_SCALE), -INT16_SCALE, INT16_SCALE - 1)
    as_int16: npt.NDArray[np.int16] = clipped.astype(np.int16)
    return as_int16


def _from_kept(kept: npt.NDArray[np.int16] | Waveform) -> Waveform:
    as_float: Waveform = kept.astype(np.float32)
    return as_float / np.float32(INT16_SCALE) if kept.dtype == np.int16 else as_float
