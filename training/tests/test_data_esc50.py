"""The ESC-50 reader, on a made folder in both layouts and on the real one where it is present."""

import csv
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earshot_training.data.esc50 import esc50_class_mids, read_esc50
from earshot_training.data.manifest import Clip
from earshot_training.errors import UserError
from earshot_training.labels.audioset import audioset_labels

REAL_FOLDER = Path(__file__).parents[3] / "shared" / "data" / "esc50"
TABLE = (
    "filename,fold,target,category,esc10,src_file,take\n"
    "1-1-A-0.wav,1,0,dog,True,1,A\n"
    "2-7-B-49.wav,2,49,drinking_sipping,False,7,B\n"
)


LAYOUTS = [("meta/esc50.csv", ".wav"), ("esc50.csv", ".flac")]


def make_folder(folder: Path, *, table: str, extension: str) -> Path:
    (folder / "audio").mkdir(parents=True)
    (folder / table).parent.mkdir(exist_ok=True)
    (folder / table).write_text(TABLE)
    for stem in ("1-1-A-0", "2-7-B-49"):
        soundfile.write(folder / "audio" / (stem + extension), np.zeros(8000), 16_000)
    return folder


@pytest.mark.parametrize(("table", "extension"), LAYOUTS)
def test_both_layouts_give_the_same_clips(tmp_path: Path, table: str, extension: str):
    folder = make_folder(tmp_path, table=table, extension=extension)
    dog, sip = read_esc50(folder)
    assert dog == Clip(
        path=folder / "audio" / f"1-1-A-0{extension}",
        mids=("/m/0bt9lr", "/m/05tny_"),
        class_name="dog",
        fold=1,
        source="esc50",
        recording="1",
        seconds=0.5,
        license="CC-BY-NC-3.0",
    )
    assert (sip.mids, sip.fold, sip.recording) == ((), 2, "7")


def test_faults_of_a_folder_are_named(tmp_path: Path):
    with pytest.raises(UserError, match="found neither"):
        read_esc50(tmp_path)
    folder = make_folder(tmp_path, table="esc50.csv", extension=".flac")
    (folder / "audio" / "1-1-A-0.flac").unlink()
    with pytest.raises(UserError, match=r"expected audio/1-1-A-0\.wav"):
        read_esc50(folder)
    (folder / "esc50.csv").write_text(TABLE.replace("dog", "hydra"))
    with pytest.raises(UserError, match="expected a class of ESC-50, got 'hydra'"):
        read_esc50(folder)
    (folder / "esc50.csv").write_text("filename,fold\n1-1-A-0.wav,1\n")
    with pytest.raises(UserError, match="expected the columns"):
        read_esc50(folder)


def test_every_mapped_label_is_one_of_audioset():
    known = {label.mid for label in audioset_labels()}
    mids_of_class = esc50_class_mids()
    assert len(mids_of_class) == 50
    assert {mid for mids in mids_of_class.values() for mid in mids} <= known
    assert [name for name, mids in mids_of_class.items() if not mids] == [
        "drinking_sipping",
        "can_opening",
    ]


@pytest.mark.skipif(not REAL_FOLDER.is_dir(), reason="no ESC-50 in ../shared/data/esc50")
def test_the_real_set_agrees_with_its_own_label_list():
    clips = read_esc50(REAL_FOLDER)
    with (REAL_FOLDER / "labels.csv").open(newline="") as lines:
        rows = {row["path"]: row for row in csv.DictReader(lines)}
    assert len(clips) == len(rows)
    for clip in clips:
        row = rows[clip.path.relative_to(REAL_FOLDER).as_posix()]
        assert list(clip.mids) == [mid for mid in row["mids"].split(";") if mid]
        assert (clip.class_name, str(clip.fold)) == (row["label"], row["fold_or_split"])
        assert clip.seconds == float(row["seconds"])
    assert set(Counter(clip.fold for clip in clips).values()) == {400}
    folds_of = defaultdict(set)
    for clip in clips:
        folds_of[clip.recording].add(clip.fold)
    assert {recording for recording, folds in folds_of.items() if len(folds) > 1} == {
        "131943",
        "134049",
    }
