"""Cuts and rotations of a clip by whole rows of the patch grid, so that its tokens stay its own.

A row begins every 2560 samples (16 frames of 160) and reads 240 more (a frame is 400 long). Moved
by whole rows, a clip gives the same fbank rows in another place, and stored tokens move along.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from earshot_training.audio.fbank import FRAME_LENGTH, FRAME_SHIFT, PATCH_FRAMES, num_rows
from earshot_training.audio.waveform import Waveform

SAMPLES_PER_ROW = PATCH_FRAMES * FRAME_SHIFT
ROW_OVERLAP = FRAME_LENGTH - FRAME_SHIFT
"""Samples that a row shares with the next one."""

Tokens = npt.NDArray[np.int64]


class AlignedClip(NamedTuple):
    """A waveform without samples that no row reads, and its tokens if it has any."""

    waveform: Waveform  # (rows * 2560 + 240,)
    tokens: Tokens | None  # (rows, bands)


def trim_to_rows(waveform: Waveform, tokens: Tokens | None) -> AlignedClip:
    """Cut off what comes after the last whole row.

    Raises:
        ValueError: the tokens are not as many rows as the waveform gives.

    """
    rows = num_rows(len(waveform))
    if tokens is not None and len(tokens) != rows:
        raise ValueError(f"expected tokens of {rows} rows, got {len(tokens)}")
    return AlignedClip(waveform[: rows * SAMPLES_PER_ROW + ROW_OVERLAP], tokens)


def crop_rows(clip: AlignedClip, *, first_row: int, rows: int) -> AlignedClip:
    """So many rows from the first one on: their fbank and tokens are exactly those of the clip."""
    start, end = first_row * SAMPLES_PER_ROW, (first_row + rows) * SAMPLES_PER_ROW + ROW_OVERLAP
    tokens = None if clip.tokens is None else clip.tokens[first_row : first_row + rows]
    return AlignedClip(clip.waveform[start:end], tokens)


def roll_rows(clip: AlignedClip, shift_rows: int) -> AlignedClip:
    """Rotate by whole rows: row r goes to (r + shift) mod rows.

    Every row keeps its fbank but the clip's last one, whose last two frames now read over into the
    clip's beginning instead of its end.
    """
    period = len(clip.waveform) - ROW_OVERLAP
    shift = shift_rows * SAMPLES_PER_ROW % period
    if shift == 0:
        return clip
    # What follows the new end in the original belongs to the row that is now the last.
    follows = clip.waveform[period - shift : period - shift + ROW_OVERLAP]
    waveform = np.concatenate([np.roll(clip.waveform[:period], shift), follows])
    tokens = None if clip.tokens is None else np.roll(clip.tokens, shift_rows, axis=0)
    return AlignedClip(waveform, tokens)
