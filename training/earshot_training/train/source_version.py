"""Which code made an artefact."""

import subprocess
from pathlib import Path


def source_version() -> dict[str, str | bool | None]:
    """Git commit, and whether the package had changes since; None outside git."""
    folder = Path(__file__).parent
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--", str(folder.parent))
    return {"commit": commit, "has_changes": None if changes is None else bool(changes)}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
