"""An archive of clips -> a folder, after every file in it was held to its hash."""

import hashlib
import tarfile
from pathlib import Path

from earshot_training.atomic_folder import atomic_folder
from earshot_training.data.manifest import Clip, read_manifest
from earshot_training.data.pack import MANIFESTS_FOLDER, SUMS_FILE
from earshot_training.errors import UserError


def unpack(archive: Path, out: Path) -> dict[str, tuple[Clip, ...]]:
    """Unpack an archive that `pack` wrote, whole or not at all; returns its manifests by name.

    Nothing is written outside of `out`: of what the archive holds, only plain files within it are
    taken, by tarfile's `data` filter.

    Raises:
        UserError: `out` exists; not such an archive, a broken one, one with links or with paths
            that lead out of it.

    """
    with atomic_folder(out) as fresh:
        _extract(archive, fresh)
        _check_sums(archive, fresh)
        for manifest in _manifests(fresh):
            _check_clips(archive, fresh, read_manifest(manifest))
    return {path.name: read_manifest(path) for path in _manifests(out)}


def _extract(archive: Path, folder: Path) -> None:
    try:
        with tarfile.open(archive, "r:") as source:
            for member in source:
                if not member.isreg():
                    raise UserError(f"{archive}: expected plain files only, got {member.name}")
                source.extract(member, folder, filter="data")
    except (tarfile.TarError, EOFError) as error:
        raise UserError(f"{archive}: expected an archive of `data pack`, got: {error}") from error


def _check_sums(archive: Path, folder: Path) -> None:
    path = folder / SUMS_FILE
    if not path.is_file():
        raise UserError(f"{archive}: expected an archive of `data pack`, found no {SUMS_FILE}")
    lines = path.read_text(encoding="utf-8").splitlines()
    expected = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    came = {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file() and file != path
    }
    wrong = sorted(
        name for name in expected.keys() | came.keys() if expected.get(name) != came.get(name)
    )
    if wrong:
        raise UserError(
            f"{archive}: expected the files of {SUMS_FILE}, but {len(wrong)} are missing, changed "
            f"or not listed, {wrong[0]} first"
        )


def _manifests(folder: Path) -> list[Path]:
    return sorted((folder / MANIFESTS_FOLDER).glob("*"))


def _check_clips(archive: Path, folder: Path, clips: tuple[Clip, ...]) -> None:
    for clip in clips:
        if not clip.path.is_relative_to(folder.resolve()) or not clip.path.is_file():
            raise UserError(f"{archive}: expected each clip in the archive, found no {clip.path}")
