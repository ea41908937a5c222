"""Makes the clips of the benchmark from sounds of the tests: ten seconds and one.

`python make_clips.py FIXTURES OUT`: stereo at 44.1 kHz as MP3 and FLAC, as clips are posted, and
the same at 16 kHz mono as float32 without a header, as sessions get it.
"""

import sys
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

SOURCES = ("rain.ogg", "dog.ogg", "tabla.flac", "rooster.ogg")
RATE = 44_100
MODEL_RATE = 16_000
LENGTHS_SECONDS = (10, 1)
PEAK = 0.8


def main() -> None:
    """Write the clips of every length."""
    fixtures, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    sounds = np.concatenate([read(fixtures / name) for name in SOURCES])
    # The second channel is the same later on, so that the two are not one.
    stereo = np.stack([sounds, np.roll(sounds, RATE)], axis=1)
    stereo *= PEAK / np.abs(stereo).max()
    for seconds in LENGTHS_SECONDS:
        write(out / f"{seconds}s", np.resize(stereo, (seconds * RATE, 2)))


def read(path: Path) -> NDArray[np.float32]:
    """Mono at the rate of the clips."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono: NDArray[np.float32] = soxr.resample(samples.mean(axis=1), rate, RATE)
    return mono


def write(stem: Path, stereo: NDArray[np.float32]) -> None:
    """One clip in every form."""
    soundfile.write(stem.with_suffix(".mp3"), stereo, RATE)
    soundfile.write(stem.with_suffix(".flac"), stereo, RATE, subtype="PCM_16")
    mono = soxr.resample(stereo.mean(axis=1), RATE, MODEL_RATE)
    mono.astype(np.float32).tofile(stem.with_suffix(".f32"))


if __name__ == "__main__":
    main()
