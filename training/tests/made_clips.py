"""Small corpora of generated clips: tones and noise of three classes over two folds."""

from pathlib import Path

import numpy as np
import soundfile

from earshot_training.audio.waveform import SAMPLE_RATE_HZ
from earshot_training.data.manifest import Clip, write_manifest

DOG, BARK, RAIN, SIREN = "/m/0bt9lr", "/m/05tny_", "/m/06mb1", "/m/03kmc9"
CLASSES = {"dog": (DOG, BARK), "rain": (RAIN,), "siren": (SIREN,)}

TINY_CONFIG = """
seed = 3

[encoder]
patch_dim = 16
dim = 16
ffn_dim = 32
layers = 2
heads = 2
conv_pos_kernel = 16
conv_pos_groups = 4
layer_drop = 0.3
dropout = 0.1

[data]
manifest = "clips/manifest.jsonl"
folds = [1]
batch_size = 4

[loop]
steps = 6
accumulate = 2
print_every_steps = 1

[augment]
kept_patch_share = 0.5

[averaging]
kind = "ema"
"""

LEARNING_CONFIG = """
seed = 3

[encoder]
patch_dim = 16
dim = 16
ffn_dim = 32
layers = 2
heads = 2
conv_pos_kernel = 16
conv_pos_groups = 4

[data]
manifest = "clips/manifest.jsonl"
batch_size = 4

[loop]
steps = 30
print_every_steps = 30

[augment]
mixup_probability = 0.0
time_masks = 0
mel_masks = 0

[optimizer]
learning_rate = 1e-2
"""
"""A run that begins to tell the classes apart, in a second; it names no folds."""


def write_corpus(folder: Path, *, clips_per_class: int = 8) -> Path:
    """Write the clips and their manifest; returns the manifest."""
    (folder / "audio").mkdir(parents=True)
    generator = np.random.default_rng(0)
    clips = [
        _write_clip(folder, class_name, number, generator)
        for class_name in CLASSES
        for number in range(clips_per_class)
    ]
    write_manifest(folder / "manifest.jsonl", clips)
    return folder / "manifest.jsonl"


def _write_clip(folder: Path, class_name: str, number: int, generator: np.random.Generator) -> Clip:
    seconds = 0.5 + 0.125 * (number % 4)
    time = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    noise = 0.05 * generator.standard_normal(len(time))
    tone_hz = {"dog": 500.0, "rain": 0.0, "siren": 1500.0}[class_name] * (1 + number / 20)
    path = folder / "audio" / f"{class_name}-{number}.flac"
    samples = 0.5 * np.sin(2 * np.pi * tone_hz * time) + noise
    soundfile.write(path, samples, SAMPLE_RATE_HZ, subtype="PCM_16")
    return Clip(
        path=path,
        mids=CLASSES[class_name],
        class_name=class_name,
        fold=1 + number % 2,
        source="made",
        recording=f"{class_name}-{number}",
        seconds=seconds,
        license="CC0",
    )
