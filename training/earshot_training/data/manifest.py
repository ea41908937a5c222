"""The list of clips that a run trains or is scored on: one JSON object per line.

Paths in the file are relative to the file's own folder, so that a manifest and its clips move
together.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from earshot_training.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One recording of a data set."""

    path: Path
    mids: tuple[str, ...]
    """AudioSet machine ids of what is heard; empty when the class has no fitting label."""
    class_name: str | None
    """Class in the set's own naming, for sets with one class per clip."""
    fold: int | None
    source: str
    """Name of the data set."""
    recording: str
    """Id of the recording that the clip was cut from: clips of one recording belong together."""
    seconds: float
    license: str | None


FIELD_TYPES: dict[str, tuple[type, ...]] = {
    "path": (str,),
    "mids": (list,),
    "class_name": (str, type(None)),
    "fold": (int, type(None)),
    "source": (str,),
    "recording": (str,),
    "seconds": (int, float),
    "license": (str, type(None)),
}
assert set(FIELD_TYPES) == {field.name for field in fields(Clip)}


def write_manifest(path: Path, clips: Iterable[Clip]) -> int:
    """Write the clips as JSON lines, paths relative to the manifest; returns how many."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = manifest_text(clips, path.parent)
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)
    return text.count("\n")


def manifest_text(clips: Iterable[Clip], folder: Path) -> str:
    """Make the text of a manifest that lies in `folder`: a line for each clip."""
    rows = (_to_row(clip, folder.resolve()) for clip in clips)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def read_manifest(path: Path) -> tuple[Clip, ...]:
    """Read and check a manifest; the clips' paths come back absolute.

    Raises:
        UserError: no such file, a line that is not a clip, a path listed twice, no clips.

    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: expected a manifest (JSON lines), got: {error}") from error
    folder = path.parent.resolve()
    clips = tuple(
        _parse_line(line, folder, where=f"{path}:{number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    )
    if not clips:
        raise UserError(f"{path}: expected at least one clip, got an empty manifest")
    _assert_unique_paths(clips, str(path))
    return clips


def in_folds(clips: Sequence[Clip], folds: Sequence[int]) -> tuple[Clip, ...]:
    """Clips of the given folds; every fold asked for must hold some."""
    present = {clip.fold for clip in clips}
    missing = [fold for fold in folds if fold not in present]
    if missing:
        known = sorted(fold for fold in present if fold is not None)
        raise UserError(f"expected folds {list(folds)}, but the manifest has {known or 'no folds'}")
    return tuple(clip for clip in clips if clip.fold in folds)


def from_sources(clips: Sequence[Clip], sources: Sequence[str]) -> tuple[Clip, ...]:
    """Clips of the data sets named; every one asked for must have some."""
    present = {clip.source for clip in clips}
    missing = [source for source in sources if source not in present]
    if missing:
        raise UserError(f"expected sources among {sorted(present)}, got {missing}")
    return tuple(clip for clip in clips if clip.source in sources)


def merge_clips(lists: Iterable[Sequence[Clip]]) -> tuple[Clip, ...]:
    """Join lists of clips.

    Raises:
        UserError: a clip is in two of them.

    """
    clips = tuple(clip for part in lists for clip in part)
    _assert_unique_paths(clips, "the manifests together")
    return clips


def without_recordings_of(clips: Sequence[Clip], others: Sequence[Clip]) -> tuple[Clip, ...]:
    """Leave out clips cut from a recording of the others (Freesound ids, for example)."""
    recordings = {clip.recording for clip in others}
    return tuple(clip for clip in clips if clip.recording not in recordings)


def clip_list_sha256(clips: Iterable[Clip]) -> str:
    """Hash of which clips were used, whatever their order and wherever they lie on disk."""
    names = sorted(f"{clip.source}/{clip.recording}/{clip.path.stem}" for clip in clips)
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _to_row(clip: Clip, folder: Path) -> dict[str, object]:
    row = {field.name: getattr(clip, field.name) for field in fields(clip)}
    relative = os.path.relpath(clip.path.resolve(), folder)
    return row | {"path": Path(relative).as_posix(), "mids": list(clip.mids)}


def _parse_line(line: str, folder: Path, *, where: str) -> Clip:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: expected a JSON object, got: {error}") from error
    if not isinstance(row, dict) or set(row) != set(FIELD_TYPES):
        came = sorted(row) if isinstance(row, dict) else type(row).__name__
        raise UserError(f"{where}: expected the keys {sorted(FIELD_TYPES)}, got {came}")
    for key, types in FIELD_TYPES.items():
        if not isinstance(row[key], types) or isinstance(row[key], bool):
            expected = " or ".join(kind.__name__ for kind in types)
            raise UserError(f"{where}: expected {key} to be {expected}, got {row[key]!r}")
    if not all(isinstance(mid, str) for mid in row["mids"]):
        raise UserError(f"{where}: expected mids to be strings, got {row['mids']!r}")
    if row["seconds"] <= 0:
        raise UserError(f"{where}: expected seconds above 0, got {row['seconds']!r}")
    path = Path(os.path.normpath(folder / row["path"]))
    return Clip(**(row | {"path": path, "mids": tuple(row["mids"])}))


def _assert_unique_paths(clips: Sequence[Clip], where: str) -> None:
    seen: set[Path] = set()
    for clip in clips:
        if clip.path in seen:
            raise UserError(f"{where}: expected each path once, got {clip.path} twice")
        seen.add(clip.path)
