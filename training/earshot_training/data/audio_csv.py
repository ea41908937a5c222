"""Reader of a folder of audio with a CSV table: one row per file.

| column | meaning |
| --- | --- |
| `path` | file, relative to the folder |
| `mids` | AudioSet machine ids, separated by `;`; may be empty |
| `label` | class in the set's own naming |
| `fold` or `fold_or_split` | a number, or a name that `folds` translates; empty: none |
| `recording` | what the clip was cut from; without it each file is its own |
| `license` | of the clip; without it the set's |

A class map, where one is given, says the mids of each label. Without map and `mids` column a label
must be the display name of an AudioSet label.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from earshot_training.data.csv_table import read_csv
from earshot_training.data.manifest import Clip
from earshot_training.data.readable import ReadClips, open_clips
from earshot_training.errors import UserError
from earshot_training.labels.audioset import audioset_labels

FOLD_COLUMNS = ("fold", "fold_or_split")


@dataclass(frozen=True, kw_only=True)
class AudioCsv:
    """A table, and what it does not say itself."""

    table: Path
    source: str
    """Name of the data set."""
    license: str | None = None
    recording_column: str = "recording"
    mids_of_class: Mapping[str, tuple[str, ...]] | None = None
    folds: Mapping[str, int] = field(default_factory=dict)
    """Numbers of named splits."""


def read_audio_csv(folder: Path, given: AudioCsv) -> ReadClips:
    """Clips of the table's rows, in its order; files that cannot be opened become faults.

    Raises:
        UserError: no such table or column, a label without mids, a split without a number.

    """
    rows = read_csv(given.table, columns=["path"])
    if given.recording_column != "recording" and given.recording_column not in rows[0]:
        raise UserError(f"{given.table}: expected a column {given.recording_column}, found none")
    mids = [_mids(row, given) for row in rows]
    folds = [_fold(row, given) for row in rows]
    paths = [folder / row["path"] for row in rows]

    def to_clip(index: int, seconds: float) -> Clip:
        row = rows[index]
        return Clip(
            path=paths[index],
            mids=mids[index],
            class_name=row.get("label") or None,
            fold=folds[index],
            source=given.source,
            recording=row.get(given.recording_column) or paths[index].stem,
            seconds=seconds,
            license=row.get("license") or given.license,
        )

    return open_clips(paths, to_clip)


def class_map(path: Path) -> dict[str, tuple[str, ...]]:
    """Read a CSV with the columns `class` and `mids` (separated by `;`)."""
    rows = read_csv(path, columns=["class", "mids"])
    return {row["class"]: _split(row["mids"]) for row in rows}


def parse_folds(assignments: Sequence[str]) -> dict[str, int]:
    """Read `NAME=NUMBER` assignments, `train=1` for example."""
    folds = {}
    for assignment in assignments:
        name, _, number = assignment.rpartition("=")
        if not name or not number.isdecimal():
            raise UserError(f"expected NAME=NUMBER, train=1 for example, got {assignment!r}")
        folds[name] = int(number)
    return folds


def _mids(row: Mapping[str, str], given: AudioCsv) -> tuple[str, ...]:
    label = row.get("label") or ""
    if given.mids_of_class is not None:
        if label not in given.mids_of_class:
            raise UserError(f"{given.table}: expected a class of the class map, got {label!r}")
        mids = given.mids_of_class[label]
    elif "mids" in row:
        mids = _split(row["mids"])
    elif label:
        mids = (_mid_of_name().get(label, label),)
    else:
        mids = ()
    unknown = [mid for mid in mids if mid not in _known_mids()]
    if unknown:
        raise UserError(
            f"{given.table}: expected AudioSet mids or the display name of a label, got "
            f"{unknown[0]!r} for {row['path']}"
        )
    return mids


@cache
def _known_mids() -> frozenset[str]:
    return frozenset(label.mid for label in audioset_labels())


@cache
def _mid_of_name() -> dict[str, str]:
    return {label.name: label.mid for label in audioset_labels()}


def _fold(row: Mapping[str, str], given: AudioCsv) -> int | None:
    fold = next((row[column] for column in FOLD_COLUMNS if row.get(column)), "")
    if not fold:
        return None
    if fold in given.folds:
        return given.folds[fold]
    if not fold.isdecimal():
        raise UserError(
            f"{given.table}: expected folds to be numbers, got {fold!r}; give it one "
            f"(--fold-names {fold}=1)"
        )
    return int(fold)


def _split(joined: str) -> tuple[str, ...]:
    return tuple(part for part in joined.split(";") if part)
