"""SHA256SUMS of a model folder, which the service holds every file of it to."""

import hashlib
from pathlib import Path

CHECKSUMS_FILE = "SHA256SUMS"


def write_checksums(folder: Path) -> Path:
    """Write the sums of all files as they are now, in the form that `sha256sum --check` reads."""
    path = folder / CHECKSUMS_FILE
    lines = [
        f"{_sha256(file)}  {file.name}\n"
        for file in sorted(folder.iterdir())
        if file.is_file() and file != path and not file.name.startswith(".")
    ]
    path.write_text("".join(lines), encoding="ascii")
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
