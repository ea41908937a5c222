"""Clips and their manifests as one archive, to be carried to another machine.

corpus.tar
  manifests/NAME.jsonl     paths relative to it, as in any manifest
  audio/SOURCE/FILE        each clip once, however many manifests name it
  documents/SOURCE/FILE    licences and credits that lie beside the clips
  SHA256SUMS               of all files above, in the form of sha256sum

The same clips give the same bytes. A clip keeps its file's stem, which is part of the hash that
names a list of clips.
"""

import hashlib
import io
import os
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import soundfile

from earshot_training.audio.waveform import SAMPLE_RATE_HZ, read_waveform
from earshot_training.data.clip_waveforms import INT16_SCALE
from earshot_training.data.manifest import Clip, manifest_text
from earshot_training.errors import UserError

SUMS_FILE = "SHA256SUMS"
MANIFESTS_FOLDER = "manifests"
DOCUMENTS = ("licen[cs]e*", "notice*", "attribution*", "readme-source*")
"""Names, in any case, of files that must travel with the clips beside which they lie."""


class ArchiveWriter:
    """A tar file that grows file by file, with the hash of each."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self._sums: dict[str, str] = {}

    def add(self, name: str, content: bytes) -> None:
        """Append a file; owner, mode and time are nobody's."""
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        entry.mode = 0o644
        self._archive.addfile(entry, io.BytesIO(content))
        self._sums[name] = hashlib.sha256(content).hexdigest()

    def add_sums(self) -> None:
        """Append the hashes of all files so far."""
        text = "".join(f"{digest}  {name}\n" for name, digest in sorted(self._sums.items()))
        self.add(SUMS_FILE, text.encode())


def pack(
    manifests: Mapping[str, Sequence[Clip]], out: Path, *, to_flac: bool = False
) -> dict[str, tuple[Clip, ...]]:
    """Write the clips of the manifests, by name, as one tar file.

    With `to_flac` each clip becomes mono FLAC of 16 kHz and 16 bits, which is what training hears,
    but for rounding to 16 bits, and is read several times faster than Opus or MP3.

    Returns:
        the clips of each manifest as they are in the archive, paths relative to its root.

    Raises:
        UserError: a clip that cannot be read.

    """
    places = _places(manifests, to_flac=to_flac)
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(out.name + ".unfinished")
    try:
        with tarfile.open(unfinished, "w", format=tarfile.PAX_FORMAT) as archive:
            listed = _fill(ArchiveWriter(archive), manifests, places, to_flac=to_flac)
        os.replace(unfinished, out)
    finally:
        unfinished.unlink(missing_ok=True)
    return listed


def _fill(
    writer: ArchiveWriter,
    manifests: Mapping[str, Sequence[Clip]],
    places: Mapping[Path, str],
    *,
    to_flac: bool,
) -> dict[str, tuple[Clip, ...]]:
    packed: dict[Path, Clip] = {}
    for clip in _each_once(manifests):
        content, seconds = _content(clip, to_flac=to_flac)
        writer.add(places[clip.path], content)
        packed[clip.path] = replace(clip, path=Path(places[clip.path]), seconds=seconds)
    for name, document in _documents(manifests).items():
        writer.add(name, document.read_bytes())
    listed = {
        name: tuple(_at(clip, packed[clip.path]) for clip in clips)
        for name, clips in manifests.items()
    }
    for name, clips in listed.items():
        text = manifest_text(clips, Path(MANIFESTS_FOLDER))
        writer.add(f"{MANIFESTS_FOLDER}/{name}", text.encode())
    writer.add_sums()
    return listed


def _each_once(manifests: Mapping[str, Sequence[Clip]]) -> list[Clip]:
    """List the clips in the order in which the manifests first name them."""
    return list({clip.path: clip for clips in manifests.values() for clip in clips}.values())


def _at(clip: Clip, packed: Clip) -> Clip:
    return replace(clip, path=packed.path, seconds=packed.seconds)


def _places(manifests: Mapping[str, Sequence[Clip]], *, to_flac: bool) -> dict[Path, str]:
    """Name each clip in the archive; files of one name in one source get folders of their own."""
    places: dict[Path, str] = {}
    taken: set[str] = set()
    for clip in _each_once(manifests):
        name = clip.path.stem + ".flac" if to_flac else clip.path.name
        source = _file_name(clip.source)
        place, number = f"audio/{source}/{name}", 1
        while place in taken:
            number += 1
            place = f"audio/{source}/{number}/{name}"
        taken.add(place)
        places[clip.path] = place
    return places


def _file_name(source: str) -> str:
    """Turn a source's name into that of a folder: no separators, never `..`."""
    safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in source)
    return safe or "_"


def _content(clip: Clip, *, to_flac: bool) -> tuple[bytes, float]:
    if not to_flac:
        try:
            return clip.path.read_bytes(), clip.seconds
        except OSError as error:
            raise UserError(f"{clip.path}: expected a clip, got: {error}") from error
    waveform = read_waveform(clip.path)
    samples = np.clip(np.rint(waveform * INT16_SCALE), -INT16_SCALE, INT16_SCALE - 1)
    file = io.BytesIO()
    soundfile.write(file, samples.astype(np.int16), SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return file.getvalue(), len(waveform) / SAMPLE_RATE_HZ


def _documents(manifests: Mapping[str, Sequence[Clip]]) -> dict[str, Path]:
    """Find licences and credits in the clips' folders and one folder up: name -> file."""
    folders = {
        (folder, _file_name(clip.source))
        for clip in _each_once(manifests)
        for folder in (clip.path.parent, clip.path.parent.parent)
    }
    found: dict[str, Path] = {}
    for folder, source in sorted(folders):
        for path in sorted(folder.iterdir()):
            if path.is_file() and any(fnmatchcase(path.name.lower(), p) for p in DOCUMENTS):
                found.setdefault(f"documents/{source}/{path.name}", path)
    return found
