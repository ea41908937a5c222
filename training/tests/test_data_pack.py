"""`data pack` and `data unpack`: the same clips and hashes elsewhere, and nothing outside."""

import hashlib
import io
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earshot_training.audio.waveform import read_waveform
from earshot_training.cli import main
from earshot_training.data.manifest import clip_list_sha256, read_manifest, write_manifest
from tests.made_clips import write_corpus


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two manifests over one corpus, which has a clip at 44.1 kHz, one name twice and a licence."""
    folder = tmp_path / "corpus"
    clips = list(read_manifest(write_corpus(folder, clips_per_class=2)))
    stereo = folder / "other" / clips[0].path.with_suffix(".wav").name
    stereo.parent.mkdir()
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100)
    soundfile.write(stereo, np.stack([tone, -0.2 * tone], axis=1), 44_100, subtype="PCM_24")
    clips.append(replace(clips[0], path=stereo, recording="elsewhere", seconds=1.0))
    twin = folder / "twin" / clips[0].path.name
    twin.parent.mkdir()
    shutil.copy(clips[1].path, twin)
    clips.append(replace(clips[1], path=twin, recording="twin"))
    write_manifest(folder / "all.jsonl", clips)
    write_manifest(folder / "some.jsonl", clips[::2])
    (folder / "LICENSE").write_text("CC0, made for a test")
    (folder / "notes.txt").write_text("not to be taken along")
    return folder


def run(*arguments: object) -> int:
    return main(["data", *map(str, arguments)])


def pack(corpus: Path, name: str, *options: str) -> Path:
    out = corpus.parent / name
    assert run("pack", corpus / "all.jsonl", corpus / "some.jsonl", "--out", out, *options) == 0
    return out


@pytest.mark.parametrize("options", [(), ("--flac",)])
def test_clips_and_lists_are_the_same_elsewhere(
    corpus: Path, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
):
    archive = pack(corpus, "corpus.tar", *options)
    said = capsys.readouterr().out.splitlines()[:2]
    listed = {name: read_manifest(corpus / name) for name in ("all.jsonl", "some.jsonl")}
    heard = {clip.path: read_waveform(clip.path) for clip in listed["all.jsonl"]}
    corpus.rename(corpus.parent / "gone")
    out = corpus.parent / "unpacked"
    assert run("unpack", archive, "--out", out) == 0
    assert capsys.readouterr().out.splitlines() == said
    for (name, clips), line in zip(listed.items(), said, strict=True):
        found = read_manifest(out / "manifests" / name)
        assert clip_list_sha256(found) == clip_list_sha256(clips)
        assert line.endswith(clip_list_sha256(clips))
        for clip, original in zip(found, clips, strict=True):
            assert replace(clip, path=original.path) == original
            assert clip.path.is_relative_to(out)
            difference = np.abs(read_waveform(clip.path) - heard[original.path]).max()
            is_16_bit = original.path.suffix == ".flac"
            assert difference <= (0 if is_16_bit or not options else 0.51 / 32_768)
    files = [path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()]
    assert len([name for name in files if name.startswith("audio/")]) == 8
    assert (out / "documents" / "made" / "LICENSE").read_text() == "CC0, made for a test"
    assert not [name for name in files if "notes" in name]


def test_flac_is_what_training_hears(corpus: Path):
    with tarfile.open(pack(corpus, "corpus.tar", "--flac")) as archive:
        for name in archive.getnames():
            if name.startswith("audio/"):
                file = archive.extractfile(name)
                assert file is not None
                info = soundfile.info(io.BytesIO(file.read()))
                assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")


def test_the_same_clips_give_the_same_bytes(corpus: Path):
    first = pack(corpus, "a.tar", "--flac").read_bytes()
    for path in corpus.rglob("*"):
        path.touch()
    assert pack(corpus, "b.tar", "--flac").read_bytes() == first


def test_sha256sum_reads_the_sums(corpus: Path):
    out = corpus.parent / "unpacked"
    assert run("unpack", pack(corpus, "corpus.tar"), "--out", out) == 0
    subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=out, check=True
    )


def rewrite(
    archive: Path, change: Callable[[tarfile.TarInfo, bytes], tuple[tarfile.TarInfo, bytes]]
):
    """Copy the archive through `change`."""
    copy = archive.with_name("changed.tar")
    with tarfile.open(archive) as source, tarfile.open(copy, "w") as target:
        for member in source.getmembers():
            file = source.extractfile(member)
            assert file is not None
            entry, content = change(member, file.read())
            entry.size = len(content)
            target.addfile(entry, io.BytesIO(content))
    return copy


def append(archive: Path, entry: tarfile.TarInfo, content: bytes = b"") -> Path:
    copy = archive.with_name("changed.tar")
    shutil.copy(archive, copy)
    entry.size = len(content)
    with tarfile.open(copy, "a") as target:
        target.addfile(entry, io.BytesIO(content))
    return copy


def refusal(archive: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The error of unpacking; nothing may be left, inside or outside."""
    folder = archive.parent
    capsys.readouterr()
    before = sorted(folder.rglob("*"))
    assert run("unpack", archive, "--out", folder / "in" / "unpacked") == 2
    (folder / "in").rmdir()
    assert sorted(folder.rglob("*")) == before
    return capsys.readouterr().err


def test_paths_that_lead_out_and_links_are_refused(
    corpus: Path, capsys: pytest.CaptureFixture[str]
):
    archive = pack(corpus, "corpus.tar")
    escape = append(archive, tarfile.TarInfo("../escaped.txt"), b"out")
    assert "outside the destination" in refusal(escape, capsys)
    link = tarfile.TarInfo("audio/link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    assert "expected plain files only, got audio/link" in refusal(append(archive, link), capsys)
    unlisted = append(archive, tarfile.TarInfo("audio/more"), b"more")
    assert "not listed, audio/more first" in refusal(unlisted, capsys)


def test_a_manifest_that_points_out_of_the_archive_is_refused(
    corpus: Path, capsys: pytest.CaptureFixture[str]
):
    archive = pack(corpus, "corpus.tar")
    sums: dict[str, bytes] = {}

    def point_out(entry: tarfile.TarInfo, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
        if entry.name == "manifests/all.jsonl":
            changed = content.replace(b"../audio/made/dog-1.flac", b"../../../corpus/all.jsonl")
            sums[hashlib.sha256(content).hexdigest()] = hashlib.sha256(changed).hexdigest().encode()
            content = changed
        if entry.name == "SHA256SUMS":
            for old, new in sums.items():
                content = content.replace(old.encode(), new)
        return entry, content

    assert "expected each clip in the archive" in refusal(rewrite(archive, point_out), capsys)


def test_broken_archives_are_refused(corpus: Path, capsys: pytest.CaptureFixture[str]):
    archive = pack(corpus, "corpus.tar")

    def flip(entry: tarfile.TarInfo, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
        if entry.name == "audio/made/dog-1.flac":
            content = content[:-1] + bytes([content[-1] ^ 1])
        return entry, content

    assert "1 are missing, changed or not listed, audio/made/dog-1.flac" in refusal(
        rewrite(archive, flip), capsys
    )
    cut = archive.with_name("cut.tar")
    cut.write_bytes(archive.read_bytes()[:20_000])
    assert "expected an archive of `data pack`" in refusal(cut, capsys)
    assert "expected an archive of `data pack`" in refusal(corpus / "notes.txt", capsys)


def test_what_cannot_be_packed_is_refused(corpus: Path, capsys: pytest.CaptureFixture[str]):
    out = corpus.parent / "corpus.tar"
    twice = corpus / "other" / "all.jsonl"
    shutil.copy(corpus / "all.jsonl", twice)
    assert run("pack", corpus / "all.jsonl", corpus / "all.jsonl", "--out", out) == 2
    assert "expected manifests of different names" in capsys.readouterr().err
    read_manifest(corpus / "all.jsonl")[1].path.unlink()
    for options in ((), ("--flac",)):
        assert run("pack", corpus / "all.jsonl", "--out", out, *options) == 2
        assert "dog-1.flac: expected a" in capsys.readouterr().err
    assert not list(corpus.parent.glob("corpus.tar*"))


def test_an_existing_folder_is_kept(corpus: Path, capsys: pytest.CaptureFixture[str]):
    archive = pack(corpus, "corpus.tar")
    assert run("unpack", archive, "--out", corpus) == 2
    assert "Expected a new folder" in capsys.readouterr().err
    assert (corpus / "LICENSE").exists()
