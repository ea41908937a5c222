"""Which files can be opened as clips, and what is wrong with the others."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import soundfile

from earshot_training.audio.waveform import MIN_SAMPLES, SAMPLE_RATE_HZ, AudioError
from earshot_training.data.manifest import Clip

OPENED_AT_ONCE = 8
FAULTS_SHOWN = 10
MIN_SECONDS = MIN_SAMPLES / SAMPLE_RATE_HZ


class ReadClips(NamedTuple):
    """Clips that can be opened, and a line for each of the others."""

    clips: tuple[Clip, ...]
    faults: tuple[str, ...] = ()


def audio_seconds(path: Path) -> float:
    """Length by the file's header, in seconds; nothing is decoded.

    Raises:
        AudioError: missing, not an audio file, or too short for a row of patches.

    """
    try:
        seconds = float(soundfile.info(path).duration)
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioError(f"{path}: expected an audio file, got: {error}") from error
    if seconds < MIN_SECONDS:
        raise AudioError(f"{path}: expected at least {MIN_SECONDS} s of audio, got {seconds:.3f}")
    return seconds


def open_clips(
    paths: Sequence[Path], to_clip: Callable[[int, float], Clip], *, faults: Sequence[str] = ()
) -> ReadClips:
    """Open every file's header: `to_clip(index, seconds)` makes the clips that a list holds."""
    with ThreadPoolExecutor(OPENED_AT_ONCE) as executor:
        opened = list(executor.map(_seconds_or_fault, paths))
    clips = [to_clip(i, found) for i, found in enumerate(opened) if not isinstance(found, str)]
    broken = [found for found in opened if isinstance(found, str)]
    return ReadClips(tuple(clips), (*faults, *broken))


def leave_out_unreadable(clips: Sequence[Clip]) -> ReadClips:
    """Divide a manifest's clips, before a run begins, by whether their headers can be read."""
    return open_clips([clip.path for clip in clips], lambda index, _: clips[index])


def say_faults(faults: Sequence[str], say: Callable[[str], None]) -> None:
    """Name the first clips that are left out, and count them all."""
    for fault in faults[:FAULTS_SHOWN]:
        say(f"left out: {fault}")
    if len(faults) > FAULTS_SHOWN:
        say(f"left out: {len(faults) - FAULTS_SHOWN} more")
    if faults:
        say(f"{len(faults)} clips left out; `earshot-train data check` names them all")


def _seconds_or_fault(path: Path) -> float | str:
    try:
        return audio_seconds(path)
    except AudioError as error:
        return " ".join(str(error).split())
