"""Readers of folders with tables, UrbanSound8K and AudioSet; merging, checking, leaving out."""

import gzip
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earshot_training.audio.waveform import read_waveform
from earshot_training.cli import main
from earshot_training.config_file import load_config
from earshot_training.data.audioset import read_audioset, read_segments
from earshot_training.data.manifest import Clip, read_manifest, write_manifest
from earshot_training.data.unlabelled import UnlabelledDataConfig, read_unlabelled_clips
from earshot_training.data.urbansound8k import read_urbansound8k, urbansound8k_class_mids
from earshot_training.errors import UserError
from earshot_training.labels.audioset import audioset_labels
from tests.made_clips import TINY_CONFIG, write_corpus

SHARED_DATA = Path(__file__).parents[3] / "shared" / "data"
DOG, BARK, SPEECH = "/m/0bt9lr", "/m/05tny_", "/m/09x0r"


def write_sound(path: Path, *, seconds: float = 0.5, rate_hz: int = 16_000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(np.arange(round(seconds * rate_hz)) / 9), rate_hz)


def run(*arguments: object) -> int:
    return main(["data", *map(str, arguments)])


def csv_folder(folder: Path, table: str, *names: str) -> Path:
    for name in names:
        write_sound(folder / name)
    (folder / "labels.csv").write_text(table)
    return folder


def test_a_table_with_mids_folds_and_licences(tmp_path: Path):
    folder = csv_folder(
        tmp_path / "farm",
        "path,label,fold_or_split,mids,recording,license\n"
        f"a.wav,dog,2,{DOG};{BARK},r1,CC0\n"
        "b.flac,wind,,,,\n",
        "a.wav",
        "b.flac",
    )
    manifest = tmp_path / "farm.jsonl"
    assert run("csv", folder, "--license", "CC-BY-4.0", "--out", manifest) == 0
    dog, wind = read_manifest(manifest)
    assert dog == Clip(
        path=folder / "a.wav",
        mids=(DOG, BARK),
        class_name="dog",
        fold=2,
        source="farm",
        recording="r1",
        seconds=0.5,
        license="CC0",
    )
    assert (wind.mids, wind.fold, wind.recording, wind.license) == ((), None, "b", "CC-BY-4.0")


def test_labels_are_looked_up_by_name_or_in_a_class_map(tmp_path: Path):
    folder = csv_folder(tmp_path / "a", "path,label\na.wav,Dog\n", "a.wav")
    assert run("csv", folder, "--out", tmp_path / "a.jsonl") == 0
    assert read_manifest(tmp_path / "a.jsonl")[0].mids == (DOG,)
    (tmp_path / "map.csv").write_text(f"class,mids\nDog,{BARK}\n")
    options = ("--class-map", tmp_path / "map.csv", "--fold", 3, "--out", tmp_path / "b.jsonl")
    assert run("csv", folder, *options) == 0
    assert read_manifest(tmp_path / "b.jsonl")[0].mids == (BARK,)
    assert read_manifest(tmp_path / "b.jsonl")[0].fold == 3


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        ("file\na.wav\n", (), r"expected the columns \['path'\]"),
        ("path\n", (), "expected a table with rows"),
        ("path,label\na.wav,Hydra\n", (), "got 'Hydra' for a.wav"),
        ("path,mids\na.wav,/m/none\n", (), "got '/m/none' for a.wav"),
        ("path,fold\na.wav,train\n", (), "expected folds to be numbers, got 'train'"),
        ("path,fold\na.wav,train\n", ("--fold-names", "train"), "expected NAME=NUMBER"),
        ("path\na.wav\n", ("--recording-column", "id"), "expected a column id"),
        ("path\nnone.wav\n", (), "expected at least one clip, got none"),
    ],
)
def test_faults_of_a_table_are_named(
    tmp_path: Path,
    table: str,
    options: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
):
    folder = csv_folder(tmp_path / "a", table, "a.wav")
    assert run("csv", folder, "--out", tmp_path / "a.jsonl", *options) == 2
    assert re.search(message, capsys.readouterr().err)


def test_named_splits_get_their_numbers(tmp_path: Path):
    folder = csv_folder(tmp_path / "a", "path,fold\na.wav,train\nb.wav,test\n", "a.wav", "b.wav")
    names = ("--fold-names", "train=1", "test=0")
    assert run("csv", folder, "--out", tmp_path / "a.jsonl", *names) == 0
    assert [clip.fold for clip in read_manifest(tmp_path / "a.jsonl")] == [1, 0]


def test_files_that_cannot_be_opened_are_left_out_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = csv_folder(tmp_path / "a", "path\na.wav\nb.wav\nc.wav\nd.wav\n", "a.wav", "d.wav")
    (folder / "b.wav").write_bytes(b"no sound at all")
    write_sound(folder / "d.wav", seconds=0.1)
    assert run("csv", folder, "--out", tmp_path / "a.jsonl") == 0
    said = capsys.readouterr().out
    for name in ("b.wav", "c.wav", "d.wav"):
        assert f"{name}: expected" in said
    assert "3 clips left out" in said
    assert [clip.path.name for clip in read_manifest(tmp_path / "a.jsonl")] == ["a.wav"]


def urbansound_folder(folder: Path) -> Path:
    rows = [("11-3-0-0.wav", 11, 1, "dog_bark"), ("12-8-0-0.wav", 12, 10, "siren")]
    lines = ["slice_file_name,fsID,start,end,salience,fold,classID,class"]
    for name, recording, fold, class_name in rows:
        write_sound(folder / "audio" / f"fold{fold}" / name, rate_hz=44_100)
        lines.append(f"{name},{recording},0,1,1,{fold},0,{class_name}")
    (folder / "metadata").mkdir()
    (folder / "metadata" / "UrbanSound8K.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_urbansound8k_in_its_own_layout(tmp_path: Path):
    clips, faults = read_urbansound8k(urbansound_folder(tmp_path))
    assert faults == ()
    assert [(clip.class_name, clip.fold, clip.recording) for clip in clips] == [
        ("dog_bark", 1, "11"),
        ("siren", 10, "12"),
    ]
    assert clips[0].mids == (BARK, DOG)
    assert clips[0].seconds == pytest.approx(0.5)
    assert clips[0].license == "CC-BY-NC-3.0"
    table = tmp_path / "metadata" / "UrbanSound8K.csv"
    table.write_text(table.read_text().replace("siren", "hydra"))
    with pytest.raises(UserError, match="class of UrbanSound8K, got 'hydra'"):
        read_urbansound8k(tmp_path)
    with pytest.raises(UserError, match="found neither"):
        read_urbansound8k(tmp_path / "metadata")


def test_every_class_of_urbansound8k_has_known_labels():
    mids_of_class = urbansound8k_class_mids()
    assert len(mids_of_class) == 10
    known = {label.mid for label in audioset_labels()}
    assert all(mids and set(mids) <= known for mids in mids_of_class.values())


def test_recordings_that_are_scored_elsewhere_are_left_out(tmp_path: Path):
    folder = urbansound_folder(tmp_path / "urban")
    write_corpus(tmp_path / "clips")
    scored = [
        Clip(**(vars(clip) | {"recording": str(11 + index), "fold": 1 + index}))
        for index, clip in enumerate(read_manifest(tmp_path / "clips" / "manifest.jsonl")[:2])
    ]
    write_manifest(tmp_path / "scored.jsonl", scored)
    options = ("--without-recordings-of", tmp_path / "scored.jsonl", "--in-folds", 2)
    assert run("urbansound8k", folder, *options, "--out", tmp_path / "urban.jsonl") == 0
    assert [clip.recording for clip in read_manifest(tmp_path / "urban.jsonl")] == ["11"]


SEGMENTS = f"""# Segments csv created Sun Mar  5 10:54:31 2017
# YTID, start_seconds, end_seconds, positive_labels
--PJHxphWEs, 30.000, 40.000, "{SPEECH},{DOG}"
--ZhevVpy1s, 50.000, 60.000, "{DOG}"
_aE2O5G5WE0, 0.000, 10.000, "{BARK}"
-bBcDeFgHi1, 5.500, 15.500, "{BARK}"
gone-gone-1, 5.000, 15.000, "{BARK}"
"""


@pytest.mark.parametrize("name", ["segments.csv", "segments.csv.gz"])
def test_audioset_clips_are_found_by_every_usual_name(tmp_path: Path, name: str):
    packed = gzip.compress(SEGMENTS.encode()) if name.endswith(".gz") else SEGMENTS.encode()
    (tmp_path / name).write_bytes(packed)
    for path in (
        "a/--PJHxphWEs_30.wav",
        "a/--PJHxphWEs_90.wav",  # another piece of the video
        "b/Y--ZhevVpy1s.flac",
        "b/_aE2O5G5WE0_0_10000.ogg",
        "b/-bBcDeFgHi1_5500.wav",
    ):
        write_sound(tmp_path / "clips" / path)
    clips, faults = read_audioset(tmp_path / "clips", segments=tmp_path / name)
    assert [clip.path.name for clip in clips] == [
        "--PJHxphWEs_30.wav",
        "Y--ZhevVpy1s.flac",
        "_aE2O5G5WE0_0_10000.ogg",
        "-bBcDeFgHi1_5500.wav",
    ]
    assert clips[0].mids == (SPEECH, DOG)
    assert (clips[0].recording, clips[0].source) == ("--PJHxphWEs", "audioset")
    assert faults == ("1 of 5 segments: expected a file, found none",)
    with pytest.raises(UserError, match="found none of 5"):
        read_audioset(tmp_path / "nothing", segments=tmp_path / name)


def test_what_is_no_segment_list_is_refused(tmp_path: Path):
    path = tmp_path / "segments.csv"
    for text, message in (
        ("# only a header\n", "found none"),
        ("id,1,2\n", "segment 1: expected id, start, end and mids"),
        ("id,one,2,/m/0bt9lr\n", "segment 1"),
        ('id,1,2,"/m/0bt9lr,/m/none"\n', "got '/m/none'"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            read_segments(path)
    (tmp_path / "broken.csv.gz").write_bytes(b"not packed")
    with pytest.raises(UserError, match="expected a CSV table"):
        read_segments(tmp_path / "broken.csv.gz")


def test_manifests_are_merged_and_no_clip_counts_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    first, second = write_corpus(tmp_path / "a"), write_corpus(tmp_path / "b")
    merged = tmp_path / "merged" / "all.jsonl"
    assert run("merge", first, second, "--out", merged) == 0
    assert read_manifest(merged) == read_manifest(first) + read_manifest(second)
    assert run("merge", first, merged, "--out", tmp_path / "twice.jsonl") == 2
    assert "expected each path once" in capsys.readouterr().err


def test_check_writes_what_can_be_decoded(tmp_path: Path):
    manifest = write_corpus(tmp_path / "clips")
    whole = (tmp_path / "clips" / "audio" / "dog-0.flac").read_bytes()
    (tmp_path / "clips" / "audio" / "dog-0.flac").write_bytes(whole[: len(whole) // 2])
    assert run("check", manifest, "--out", tmp_path / "sound.jsonl") == 1
    names = [clip.path.name for clip in read_manifest(tmp_path / "sound.jsonl")]
    assert len(names) == 23
    assert "dog-0.flac" not in names


def test_a_run_begins_without_clips_that_cannot_be_opened_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    write_corpus(tmp_path / "clips")
    (tmp_path / "tiny.toml").write_text(TINY_CONFIG)
    (tmp_path / "clips" / "audio" / "dog-0.flac").write_bytes(b"no sound at all")
    (tmp_path / "clips" / "audio" / "rain-2.flac").unlink()
    command = ["finetune", str(tmp_path / "tiny.toml"), "--out", str(tmp_path / "run")]
    assert main([*command, "--max-steps", "1", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "dog-0.flac: expected an audio file" in said
    assert "2 clips left out" in said
    training = json.loads((tmp_path / "run" / "artefact" / "artefact.json").read_text())["training"]
    assert training["data"]["clips"] == 10


def test_unlabelled_clips_keep_their_places_in_the_manifest(tmp_path: Path):
    manifest = write_corpus(tmp_path / "clips")
    (tmp_path / "clips" / "audio" / "dog-2.flac").unlink()
    (tmp_path / "data.toml").write_text(f'manifest = "{manifest}"\nheld_out_folds = [2]\n')
    clips = read_unlabelled_clips(load_config(UnlabelledDataConfig, tmp_path / "data.toml"))
    assert len(clips.manifest) == 24
    assert clips.train == tuple(index for index in range(0, 24, 2) if index != 2)
    assert len(clips.faults) == 1


def test_nothing_is_learnt_from_other_clips_of_held_out_recordings(tmp_path: Path):
    manifest = write_corpus(tmp_path / "clips")
    listed = read_manifest(manifest)
    # Fold 2 is scored; a clip of another set comes from the recording of one of its clips.
    shared = replace(listed[0], source="street", recording=listed[1].recording)
    assert (shared.fold, listed[1].fold) == (1, 2)
    write_manifest(manifest, [shared, *listed[1:]])
    clips = read_unlabelled_clips(UnlabelledDataConfig(manifest=manifest, held_out_folds=(2,)))
    assert clips.train == tuple(range(2, 24, 2))
    assert clips.held_out == tuple(range(1, 24, 2))
    assert clips.faults == ()


REAL_TABLES = {
    "instruments": (300, ()),
    "donateacry": (457, ()),
    "fsdd": (600, ("--fold-names", "train=1", "test=0")),
    "sonic-pi": (195, ()),
    "librosa": (7, ()),
    "smstools": (30, ()),
    "opensoundscape": (19, ()),
    "scikit-maad": (97, ("--table", "files.csv")),
}


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the optional data folder is absent")
@pytest.mark.parametrize("name", sorted(REAL_TABLES))
def test_real_sets_are_read(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]):
    count, options = REAL_TABLES[name]
    given = [SHARED_DATA / name / option if option == "files.csv" else option for option in options]
    assert run("csv", SHARED_DATA / name, *given, "--out", tmp_path / "m.jsonl") == 0
    clips = read_manifest(tmp_path / "m.jsonl")
    # Some drum beats and spoken digits are shorter than one row of patches.
    left_out = re.search(r"(\d+) clips left out", capsys.readouterr().out)
    assert len(clips) + (int(left_out[1]) if left_out else 0) == count
    assert len(clips) > 0.85 * count
    assert read_waveform(clips[0].path).std() > 0


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the optional data folder is absent")
def test_the_real_urbansound8k_shares_no_recording_with_esc50(tmp_path: Path):
    esc50, urban = tmp_path / "esc50.jsonl", tmp_path / "urban.jsonl"
    assert run("esc50", SHARED_DATA / "esc50", "--out", esc50) == 0
    assert run("urbansound8k", SHARED_DATA / "urbansound8k", "--out", urban,
               "--without-recordings-of", esc50) == 0  # fmt: skip
    clips = read_manifest(urban)
    assert 2_000 < len(clips) <= 2_140
    assert {clip.fold for clip in clips} == {1, 2, 3}
    assert not {clip.recording for clip in clips} & {
        clip.recording for clip in read_manifest(esc50)
    }


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the optional data folder is absent")
def test_real_segment_lists_are_read():
    segments = read_segments(SHARED_DATA / "audioset" / "balanced_train_segments.csv.gz")
    assert len(segments) == 22_160
    assert segments[0] == ("--PJHxphWEs", 30.0, 40.0, (SPEECH, "/t/dd00088"))
