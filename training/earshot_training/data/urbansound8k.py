"""Reader of UrbanSound8K (Salamon 2014): 10 classes, clips of up to 4 s, ten predefined folds.

Takes the original layout (`metadata/UrbanSound8K.csv`, `audio/foldN/*.wav`) and a flat one
(`labels.csv` with path, label, fold_or_split and fsID). Clips of one Freesound recording (`fsID`)
share a fold. ESC-50 draws from Freesound too.
"""

from importlib import resources
from pathlib import Path

from earshot_training.data.audio_csv import AudioCsv, class_map, read_audio_csv
from earshot_training.data.csv_table import read_csv
from earshot_training.data.manifest import Clip
from earshot_training.data.readable import ReadClips, open_clips
from earshot_training.errors import UserError

SOURCE = "urbansound8k"
SET_LICENSE = "CC-BY-NC-3.0"
TABLE_COLUMNS = ("slice_file_name", "fsID", "fold", "class")


def read_urbansound8k(folder: Path) -> ReadClips:
    """All clips of an UrbanSound8K folder, in the table's order.

    Raises:
        UserError: no table, columns missing, an unknown class.

    """
    original, flat = folder / "metadata" / "UrbanSound8K.csv", folder / "labels.csv"
    if original.is_file():
        return _read_original(folder, original)
    if flat.is_file():
        table = AudioCsv(table=flat, source=SOURCE, license=SET_LICENSE, recording_column="fsID")
        return read_audio_csv(folder, table)
    raise UserError(
        f"{folder}: expected UrbanSound8K (metadata/UrbanSound8K.csv or labels.csv), found neither"
    )


def urbansound8k_class_mids() -> dict[str, tuple[str, ...]]:
    """UrbanSound8K class -> the AudioSet mids that name it."""
    labels = resources.files("earshot_training.labels")
    with resources.as_file(labels / "urbansound8k_to_audioset.csv") as path:
        return class_map(path)


def _read_original(folder: Path, table: Path) -> ReadClips:
    mids_of_class = urbansound8k_class_mids()
    rows = read_csv(table, columns=TABLE_COLUMNS)
    for row in rows:
        if row["class"] not in mids_of_class:
            raise UserError(f"{table}: expected a class of UrbanSound8K, got {row['class']!r}")
    paths = [folder / "audio" / f"fold{row['fold']}" / row["slice_file_name"] for row in rows]

    def to_clip(index: int, seconds: float) -> Clip:
        row = rows[index]
        return Clip(
            path=paths[index],
            mids=mids_of_class[row["class"]],
            class_name=row["class"],
            fold=int(row["fold"]),
            source=SOURCE,
            recording=row["fsID"],
            seconds=seconds,
            license=SET_LICENSE,
        )

    return open_clips(paths, to_clip)
