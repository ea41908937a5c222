"""Reader of AudioSet's own segment lists with a folder of clips, wherever those were fetched.

A list has lines of YouTube id, start and end in seconds, and quoted mids; lines that start with `#`
are its header. A segment's clip is a file of any audio format named by the id (`ID`, or `YID` as
some tools write it), or by id and start in seconds (`ID_30`, `ID_30.000`) or milliseconds
(`ID_30000`), with or without the end (`ID_30_40`).
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from earshot_training.data.csv_table import read_lines
from earshot_training.data.manifest import Clip
from earshot_training.data.readable import ReadClips, open_clips
from earshot_training.errors import UserError
from earshot_training.labels.audioset import audioset_labels

SOURCE = "audioset"


class Segment(NamedTuple):
    """A piece of a video, with its labels."""

    video_id: str
    start_seconds: float
    end_seconds: float
    mids: tuple[str, ...]


def read_audioset(folder: Path, *, segments: Path) -> ReadClips:
    """Clips of the segments whose files are there, in the list's order.

    AudioSet's videos vanish, so segments without a file are one counted fault, not an error.

    Args:
        folder: searched with all its folders.
        segments: the list, plain or gzipped.

    Raises:
        UserError: not a segment list, or no clip of it in the folder.

    """
    listed = read_segments(segments)
    path_of = {path.stem: path for path in sorted(folder.rglob("*")) if path.is_file()}
    found = [(segment, path) for segment in listed if (path := _find(segment, path_of))]
    if not found:
        raise UserError(f"{folder}: expected clips of {segments}, found none of {len(listed)}")
    missing = len(listed) - len(found)
    faults = [f"{missing} of {len(listed)} segments: expected a file, found none"]

    def to_clip(index: int, seconds: float) -> Clip:
        segment, path = found[index]
        return Clip(
            path=path,
            mids=segment.mids,
            class_name=None,
            fold=None,
            source=SOURCE,
            recording=segment.video_id,
            seconds=seconds,
            license=None,
        )

    return open_clips([path for _, path in found], to_clip, faults=faults if missing else ())


def read_segments(path: Path) -> tuple[Segment, ...]:
    """Read a segment list.

    Raises:
        UserError: a line that is not a segment, an unknown mid, no segment at all.

    """
    known = {label.mid for label in audioset_labels()}
    lines = [line for line in read_lines(path) if line.strip() and not line.startswith("#")]
    segments = tuple(
        _parse(row, where=f"{path}, segment {number}")
        for number, row in enumerate(csv.reader(lines, skipinitialspace=True), start=1)
    )
    if not segments:
        raise UserError(f"{path}: expected AudioSet segments, found none")
    unknown = {mid for segment in segments for mid in segment.mids} - known
    if unknown:
        raise UserError(f"{path}: expected mids of AudioSet's 527 labels, got {min(unknown)!r}")
    return segments


def _parse(row: Sequence[str], *, where: str) -> Segment:
    try:
        video_id, start, end, mids = row
        return Segment(video_id, float(start), float(end), tuple(mids.split(",")))
    except ValueError as error:
        raise UserError(f"{where}: expected id, start, end and mids, got {list(row)}") from error


def _find(segment: Segment, path_of: dict[str, Path]) -> Path | None:
    return next((path_of[stem] for stem in _stems(segment) if stem in path_of), None)


def _stems(segment: Segment) -> Iterator[str]:
    """Names of a segment's file, those that tell the most first."""
    times = [
        tuple(write(seconds) for seconds in (segment.start_seconds, segment.end_seconds))
        for write in ("{:g}".format, "{:.3f}".format, lambda seconds: f"{1000 * seconds:.0f}")
    ]
    for name in (segment.video_id, f"Y{segment.video_id}"):
        for start, end in times:
            yield f"{name}_{start}_{end}"
            yield f"{name}_{start}"
    yield segment.video_id
    yield f"Y{segment.video_id}"
