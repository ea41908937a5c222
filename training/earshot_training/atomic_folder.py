"""Folders that appear whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from earshot_training.errors import UserError


@contextmanager
def atomic_folder(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a new folder to fill; it becomes `target` when the block ends without an error.

    An existing target is an error unless `overwrite`; then it is moved aside first and removed
    last, so that a reader finds the old one, the new one or, between two renames, none.
    """
    if target.exists() and not overwrite:
        raise UserError(f"Expected a new folder, but {target} exists")
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    fresh, previous = scratch / "fresh", scratch / "previous"
    try:
        fresh.mkdir()
        yield fresh
        if target.exists():
            os.replace(target, previous)
        try:
            os.replace(fresh, target)
        except OSError:
            if previous.exists():
                os.replace(previous, target)
            raise
    finally:
        shutil.rmtree(scratch)
