"""A corpus of generated sounds: six classes that a listener would tell apart, in four folds."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from earshot_training.audio.waveform import SAMPLE_RATE_HZ
from earshot_training.data.manifest import Clip, write_manifest

MIDS = {
    "tone": "/m/0b9m1",  # Harmonic
    "chirp": "/m/0hdsk",  # Chirp tone
    "noise": "/m/0chx_",  # White noise
    "modulated noise": "/m/07p_0gm",  # Throbbing
    "vibrato": "/m/01jwx6",  # Vibration
    "clicks": "/m/07qc9xj",  # Clicking
}

Samples = npt.NDArray[np.float64]
SECONDS = 1.0
NUM_FOLDS = 4
NOISE_LEVEL = 0.03


def write_toy_corpus(folder: Path, *, clips_per_class: int) -> Path:
    """Write the clips and their manifest; returns the manifest."""
    (folder / "audio").mkdir(parents=True)
    random = np.random.default_rng(0)
    time = np.arange(round(SECONDS * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    clips = [
        _write_clip(folder, name, number, sound(time, random), random)
        for number in range(clips_per_class)
        for name, sound in SOUNDS.items()
    ]
    write_manifest(folder / "manifest.jsonl", clips)
    return folder / "manifest.jsonl"


def _tone(time: Samples, random: np.random.Generator) -> Samples:
    pitch = random.uniform(200, 900)
    return sum(np.sin(2 * np.pi * pitch * n * time) / n for n in range(1, 6))


def _chirp(time: Samples, random: np.random.Generator) -> Samples:
    low, high = random.uniform(200, 600), random.uniform(2000, 6000)
    octaves = np.log2(high / low)
    phase = low * SECONDS / octaves / np.log(2) * 2 ** (octaves * time / SECONDS)
    return np.sin(2 * np.pi * phase)


def _noise(time: Samples, random: np.random.Generator) -> Samples:
    return _coloured(len(time), random, slope=random.uniform(-1, 0))


def _modulated_noise(time: Samples, random: np.random.Generator) -> Samples:
    rate = random.uniform(4, 9)
    return _noise(time, random) * (0.5 + 0.5 * np.sin(2 * np.pi * rate * time)) ** 2


def _vibrato(time: Samples, random: np.random.Generator) -> Samples:
    pitch, rate = random.uniform(700, 2500), random.uniform(4, 8)
    return np.sin(2 * np.pi * pitch * time + 60 * np.sin(2 * np.pi * rate * time))


def _clicks(time: Samples, random: np.random.Generator) -> Samples:
    gaps = np.zeros(len(time))
    gaps[:: int(SAMPLE_RATE_HZ / random.uniform(5, 15))] = 1
    decay = np.exp(-np.arange(400) / 40) * random.normal(size=400)
    return np.convolve(gaps, decay)[: len(time)]


SOUNDS: dict[str, Callable[[Samples, np.random.Generator], Samples]] = {
    "tone": _tone,
    "chirp": _chirp,
    "noise": _noise,
    "modulated noise": _modulated_noise,
    "vibrato": _vibrato,
    "clicks": _clicks,
}


def _coloured(size: int, random: np.random.Generator, *, slope: float) -> Samples:
    spectrum = np.fft.rfft(random.normal(size=size))
    return np.fft.irfft(spectrum * np.maximum(np.arange(len(spectrum)), 1) ** slope, size)


def _write_clip(
    folder: Path, name: str, number: int, samples: Samples, random: np.random.Generator
) -> Clip:
    loudness = 0.5 * 10 ** random.uniform(-1.0, 0.0)
    noisy = loudness * samples / np.abs(samples).max()
    noisy = noisy + NOISE_LEVEL * random.normal(size=len(samples)) * loudness
    path = folder / "audio" / f"{name.replace(' ', '-')}-{number}.flac"
    soundfile.write(path, noisy, SAMPLE_RATE_HZ, subtype="PCM_16")
    return Clip(
        path=path,
        mids=(MIDS[name],),
        class_name=name,
        fold=1 + number % NUM_FOLDS,
        source="toy",
        recording=f"{name}-{number}",
        seconds=SECONDS,
        license="CC0-1.0",
    )
