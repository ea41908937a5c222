"""Manifests: written = read, whatever the folder; and every fault is named."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from earshot_training.data.manifest import (
    clip_list_sha256,
    in_folds,
    read_manifest,
    write_manifest,
)
from earshot_training.errors import UserError
from tests.made_clips import write_corpus


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "clips", clips_per_class=2)


def test_a_manifest_comes_back_as_it_was_written(manifest: Path, tmp_path: Path):
    clips = read_manifest(manifest)
    elsewhere = tmp_path / "lists" / "other.jsonl"
    assert write_manifest(elsewhere, clips) == 6
    assert read_manifest(elsewhere) == clips
    assert all(clip.path.is_absolute() and clip.path.exists() for clip in clips)


def test_a_manifest_moves_together_with_its_clips(manifest: Path, tmp_path: Path):
    manifest.parent.rename(tmp_path / "moved")
    assert all(clip.path.exists() for clip in read_manifest(tmp_path / "moved" / manifest.name))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fold": "1"}, "expected fold to be int or NoneType, got '1'"),
        ({"fold": True}, "expected fold to be int or NoneType, got True"),
        ({"seconds": 0}, "expected seconds above 0, got 0"),
        ({"mids": [1]}, "expected mids to be strings"),
        ({"loudness": 3}, "expected the keys"),
    ],
)
def test_a_wrong_row_is_named_by_its_line(manifest: Path, change: dict, message: str):
    lines = manifest.read_text().splitlines()
    lines[1] = json.dumps(json.loads(lines[1]) | change)
    manifest.write_text("\n".join(lines))
    with pytest.raises(UserError, match="manifest.jsonl:2: " + message):
        read_manifest(manifest)


def test_what_is_no_manifest_is_refused(manifest: Path, tmp_path: Path):
    with pytest.raises(UserError, match="expected a manifest"):
        read_manifest(tmp_path / "absent.jsonl")
    manifest.write_text(manifest.read_text() * 2)
    with pytest.raises(UserError, match="expected each path once"):
        read_manifest(manifest)
    manifest.write_text("{")
    with pytest.raises(UserError, match="expected a JSON object"):
        read_manifest(manifest)
    manifest.write_text("\n")
    with pytest.raises(UserError, match="at least one clip"):
        read_manifest(manifest)


def test_folds_are_chosen_and_missing_ones_are_named(manifest: Path):
    clips = read_manifest(manifest)
    assert {clip.fold for clip in in_folds(clips, [2])} == {2}
    assert in_folds(clips, [1, 2]) == clips
    with pytest.raises(UserError, match=r"expected folds \[1, 5\], but the manifest has \[1, 2\]"):
        in_folds(clips, [1, 5])


def test_the_list_hash_knows_clips_not_their_order_or_place(manifest: Path):
    clips = read_manifest(manifest)
    elsewhere = [replace(clip, path=Path("/other") / clip.path.name) for clip in reversed(clips)]
    assert clip_list_sha256(elsewhere) == clip_list_sha256(clips)
    assert clip_list_sha256(clips[:-1]) != clip_list_sha256(clips)
