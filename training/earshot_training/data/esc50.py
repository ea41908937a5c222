"""Reader of ESC-50 (Piczak 2015): 50 classes, clips of 5 s, five predefined folds.

Takes the original layout (`meta/esc50.csv`, `audio/*.wav`) and a flat one (`esc50.csv`,
`audio/*.flac`). Clips cut from one Freesound recording (`src_file`) share a fold, but for two
recordings, 131943 and 134049, whose clips of two classes lie in folds 2 and 3.
"""

import csv
from importlib import resources
from pathlib import Path

import soundfile

from earshot_training.data.manifest import Clip
from earshot_training.errors import UserError

SOURCE = "esc50"
SET_LICENSE = "CC-BY-NC-3.0"
TABLE_COLUMNS = {"filename", "fold", "category", "src_file"}


def read_esc50(folder: Path) -> tuple[Clip, ...]:
    """All clips of an ESC-50 folder, in the table's order.

    A clip's licence is its own from `licenses.csv` when that lies in the folder, else that of the
    whole set. Classes without a fitting AudioSet label have no mids.

    Raises:
        UserError: no table, columns missing, an unknown class, a listed clip absent.

    """
    mids_of_class = esc50_class_mids()
    licenses = _read_licenses(folder)
    return tuple(_to_clip(row, folder, mids_of_class, licenses) for row in _read_table(folder))


def esc50_class_mids() -> dict[str, tuple[str, ...]]:
    """ESC-50 class -> the AudioSet mids that name it (source and most specific sound)."""
    text = resources.files("earshot_training.labels").joinpath("esc50_to_audioset.csv").read_text()
    return {
        row["class"]: tuple(mid for mid in row["mids"].split(";") if mid)
        for row in csv.DictReader(text.splitlines())
    }


def _read_table(folder: Path) -> list[dict[str, str]]:
    for table in (folder / "meta" / "esc50.csv", folder / "esc50.csv"):
        if table.is_file():
            with table.open(newline="", encoding="utf-8") as lines:
                rows = list(csv.DictReader(lines))
            if not rows or not set(rows[0]) >= TABLE_COLUMNS:
                came = sorted(rows[0]) if rows else "no rows"
                raise UserError(
                    f"{table}: expected the columns {sorted(TABLE_COLUMNS)}, got {came}"
                )
            return rows
    raise UserError(f"{folder}: expected ESC-50 (meta/esc50.csv or esc50.csv), found neither")


def _read_licenses(folder: Path) -> dict[str, str]:
    table = folder / "licenses.csv"
    if not table.is_file():
        return {}
    with table.open(newline="", encoding="utf-8") as lines:
        return {row["filename"]: row["license"] for row in csv.DictReader(lines)}


def _to_clip(
    row: dict[str, str],
    folder: Path,
    mids_of_class: dict[str, tuple[str, ...]],
    licenses: dict[str, str],
) -> Clip:
    if row["category"] not in mids_of_class:
        raise UserError(f"{folder}: expected a class of ESC-50, got {row['category']!r}")
    path = _find_audio(folder, row["filename"])
    return Clip(
        path=path,
        mids=mids_of_class[row["category"]],
        class_name=row["category"],
        fold=int(row["fold"]),
        source=SOURCE,
        recording=row["src_file"],
        seconds=_read_seconds(path),
        license=licenses.get(row["filename"], SET_LICENSE),
    )


def _find_audio(folder: Path, filename: str) -> Path:
    stem = folder / "audio" / filename
    for path in (stem, stem.with_suffix(".flac")):
        if path.is_file():
            return path
    raise UserError(f"{folder}: expected audio/{filename} (or .flac), found neither")


def _read_seconds(path: Path) -> float:
    try:
        return float(soundfile.info(path).duration)
    except soundfile.LibsndfileError as error:
        raise UserError(f"{path}: expected an audio file, got: {error}") from error
