"""`data select`: families of licences, and the clips of a manifest that are kept."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from earshot_training.cli import main
from earshot_training.data.licenses import license_family
from earshot_training.data.manifest import Clip, clip_list_sha256, read_manifest, write_manifest
from tests.made_clips import write_corpus

FAMILIES = {
    "CC0": ("CC0", "CC0-1.0", "CC0 1.0 Universal", "http://creativecommons.org/publicdomain/zero/1.0/"),
    "CC-BY": (
        "CC-BY", "cc by 3.0", "CC-BY-3.0", "CC_BY-4.0", "CC BY 4", "CC-BY-3.0-US",
        "CC BY 4.0 International", "https://creativecommons.org/licenses/by/4.0/",
    ),
    "CC-BY-NC": ("CC-BY-NC", "CC BY-NC 3.0", "http://creativecommons.org/licenses/by-nc/3.0/"),
    "CC-BY-SA": ("CC BY-SA 4.0",),
    "CC-SAMPLING+": (
        "CC-Sampling+", "CC Sampling+ 1.0", "http://creativecommons.org/licenses/sampling+/1.0/",
    ),
    "ODBL": ("ODbL-1.0", "ODbL 1.0"),
    "BSD-3-CLAUSE": ("BSD-3-Clause",),
    "BSD-3": ("BSD-3",),
    "PUBLIC-DOMAIN": ("public domain", "https://creativecommons.org/publicdomain/mark/1.0/"),
    "INTERNATIONAL": ("International",),
}  # fmt: skip


@pytest.mark.parametrize(
    ("spelling", "family"), [(name, key) for key, names in FAMILIES.items() for name in names]
)
def test_spellings_and_versions_of_a_licence_are_one_family(spelling: str, family: str):
    assert license_family(spelling) == family
    assert license_family(family) == family


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """24 clips: licences and sources in turn, folds 1 and 2."""
    path = write_corpus(tmp_path / "clips")
    licenses = ("CC0", "CC BY 3.0", "CC-BY-4.0", "CC-BY-NC-3.0", None, "CC-Sampling+")
    clips = [
        replace(clip, license=licenses[i % 6], source=("farm", "street")[i % 4 // 2])
        for i, clip in enumerate(read_manifest(path))
    ]
    write_manifest(path, clips)
    return path


def select(manifest: Path, *options: object) -> tuple[Clip, ...]:
    out = manifest.parent / "selected" / "some.jsonl"
    assert main(["data", "select", str(manifest), "--out", str(out), *map(str, options)]) == 0
    return read_manifest(out)


def test_clips_of_the_licences_named_are_kept(manifest: Path, capsys: pytest.CaptureFixture[str]):
    kept = select(manifest, "--licenses", "cc0", "CC-BY")
    assert Counter(clip.license for clip in kept) == {"CC0": 4, "CC BY 3.0": 4, "CC-BY-4.0": 4}
    listed = read_manifest(manifest)
    assert list(kept) == [clip for clip in listed if clip in kept], "the order is the list's"
    *table, last = capsys.readouterr().out.splitlines()
    assert last.startswith("12 of 24 clips (")
    assert last.endswith(clip_list_sha256(kept))
    rows = {
        tuple(line.rsplit(maxsplit=2)[0].split(maxsplit=1)): line.split()[-2:] for line in table
    }
    for source, name in {(clip.source, clip.license) for clip in listed}:
        counts = [
            sum((clip.source, clip.license) == (source, name) for clip in clips)
            for clips in (kept, [clip for clip in listed if clip not in kept])
        ]
        assert rows[source, name or "none"] == [str(count) for count in counts]


def test_all_conditions_hold_together(manifest: Path):
    kept = select(manifest, "--folds", 2, "--sources", "street", "--licenses", "CC-BY")
    listed = read_manifest(manifest)
    assert set(kept) == {
        clip
        for clip in listed
        if clip.fold == 2 and clip.source == "street" and clip.license in ("CC BY 3.0", "CC-BY-4.0")
    }
    assert kept
    assert select(manifest) == listed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--licenses", "CC0", "CC-BY-ND"),
            "a licence that a clip has (CC BY 3.0, CC-BY-4.0, CC-BY-NC-3.0, CC-Sampling+, CC0), "
            "got 'CC-BY-ND'",
        ),
        (("--sources", "sea"), "expected sources among ['farm', 'street'], got ['sea']"),
        (("--folds", "7"), "expected folds [7], but the manifest has [1, 2]"),
        (
            ("--sources", "farm", "--folds", "2", "--licenses", "CC0"),
            "expected at least one clip to keep, got none",
        ),
    ],
)
def test_what_no_clip_has_is_refused(
    manifest: Path, options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
):
    out = manifest.parent / "none.jsonl"
    assert main(["data", "select", str(manifest), "--out", str(out), *options]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()
