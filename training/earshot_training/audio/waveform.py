"""Audio file -> mono float32 waveform at 16 kHz."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from earshot_training.errors import UserError

SAMPLE_RATE_HZ = 16_000
MIN_SAMPLES = 2_800
"""Shortest clip with one row of patches: 400 + 15 * 160 samples."""

Waveform = npt.NDArray[np.float32]


class AudioError(UserError):
    """A file that cannot be used as a clip."""


def read_waveform(path: Path) -> Waveform:
    """Read any file that libsndfile knows: -> (samples,) float32 in [-1, 1], mono, 16 kHz.

    Channels are averaged. Resampling is soxr's "very high quality".

    Raises:
        AudioError: missing, unreadable, shorter than one row of patches, or not finite.

    """
    try:
        channels, sample_rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioError(f"{path}: expected an audio file, got: {error}") from error
    return to_waveform(channels, sample_rate_hz, name=str(path))


def to_waveform(channels: Waveform, sample_rate_hz: int, *, name: str) -> Waveform:
    """Mix and resample: (samples, channels) at any rate -> (samples,) at 16 kHz.

    `name` stands for the clip in the text of an AudioError.
    """
    mono = channels.mean(axis=1, dtype=np.float32)
    if sample_rate_hz != SAMPLE_RATE_HZ:
        mono = soxr.resample(mono, sample_rate_hz, SAMPLE_RATE_HZ, quality="VHQ")
    if len(mono) < MIN_SAMPLES:
        raise AudioError(
            f"{name}: expected at least {MIN_SAMPLES} samples at 16 kHz (0.175 s), got {len(mono)}"
        )
    if not np.isfinite(mono).all():
        raise AudioError(f"{name}: expected finite samples, got NaN or infinity")
    waveform: Waveform = np.ascontiguousarray(mono, dtype=np.float32)
    return waveform
