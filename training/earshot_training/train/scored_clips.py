"""Clips and the logits that a tagger gave them, in memory and on disk, to be judged later."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from earshot_training.audio.fbank import FRAME_SHIFT, PATCH_FRAMES, num_rows
from earshot_training.audio.waveform import read_waveform
from earshot_training.data.manifest import Clip, read_manifest, write_manifest
from earshot_training.errors import UserError
from earshot_training.model.attention import MAX_PATCHES
from earshot_training.model.beats import Beats

BATCH_CLIPS = 16
CLIPS_FILE = "clips.jsonl"
LOGITS_FILE = "logits.npy"
SAMPLES_PER_ROW = PATCH_FRAMES * FRAME_SHIFT


class ScoredClips(NamedTuple):
    """Clips with their logits."""

    clips: tuple[Clip, ...]
    logits: Tensor  # (clips, labels) float32 on the CPU


@torch.inference_mode()
def score_clips(
    model: Beats, clips: Sequence[Clip], *, device: torch.device, shifts: int = 1
) -> ScoredClips:
    """Run the model on whole clips, nothing dropped or augmented.

    With `shifts` each clip is heard so many times, rotated by equal parts of a row (160 ms), and
    its logits are averaged: where the grid of patches falls is chance.

    Raises:
        UserError: a clip longer than the model's longest input; fewer than one shift.

    """
    if shifts < 1:
        raise UserError(f"expected at least 1 shift, got {shifts}")
    model = model.to(device).eval()
    parts: list[Tensor] = []
    for start in range(0, len(clips), BATCH_CLIPS):
        waveforms = [_read(clip, model) for clip in clips[start : start + BATCH_CLIPS]]
        heard = [
            _clip_logits(model, _rotated(waveforms, shift * SAMPLES_PER_ROW // shifts), device)
            for shift in range(shifts)
        ]
        parts.append(torch.stack(heard).mean(dim=0))
    return ScoredClips(tuple(clips), torch.cat(parts))


def save_scored_clips(folder: Path, scored: ScoredClips) -> None:
    """Write the clips as a manifest and their logits, in the same order."""
    write_manifest(folder / CLIPS_FILE, scored.clips)
    np.save(folder / LOGITS_FILE, scored.logits.numpy())


def load_scored_clips(folder: Path) -> ScoredClips:
    """Read what `save_scored_clips` wrote.

    Raises:
        UserError: a file missing, broken, or of another list.

    """
    clips = read_manifest(folder / CLIPS_FILE)
    path = folder / LOGITS_FILE
    try:
        logits = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: expected the logits of clips, got: {error}") from error
    if logits.ndim != 2 or len(logits) != len(clips):
        raise UserError(f"{path}: expected logits of {len(clips)} clips, got {logits.shape}")
    return ScoredClips(clips, torch.from_numpy(logits.astype(np.float32)))


def _clip_logits(model: Beats, waveforms: Sequence[Tensor], device: torch.device) -> Tensor:
    num_samples = torch.tensor([len(waveform) for waveform in waveforms])
    padded = torch.nn.utils.rnn.pad_sequence(list(waveforms), batch_first=True)
    logits: Tensor | None = model(padded.to(device), num_samples.to(device)).clip_logits
    if logits is None:
        raise ValueError("expected a model with labels, got one without")
    return logits.float().cpu()


def _rotated(waveforms: Sequence[Tensor], samples: int) -> list[Tensor]:
    return [torch.roll(waveform, -samples) for waveform in waveforms]


def _read(clip: Clip, model: Beats) -> Tensor:
    waveform = read_waveform(clip.path)
    num_patches = num_rows(len(waveform)) * model.config.bands
    if num_patches > MAX_PATCHES:
        raise UserError(
            f"{clip.path}: expected a clip of at most {MAX_PATCHES} patches (81.9 s), "
            f"got {num_patches}"
        )
    return torch.from_numpy(waveform)
