"""CSV tables as lists of rows, plain or gzipped."""

import csv
import gzip
from collections.abc import Iterable
from pathlib import Path

from earshot_training.errors import UserError


def read_csv(path: Path, *, columns: Iterable[str]) -> list[dict[str, str]]:
    """Read a table with a header; it must have the columns and at least one row.

    Raises:
        UserError: unreadable, empty, or without one of the columns.

    """
    rows = list(csv.DictReader(read_lines(path)))
    if not rows:
        raise UserError(f"{path}: expected a table with rows, got none")
    missing = sorted(set(columns) - set(rows[0]))
    if missing:
        raise UserError(f"{path}: expected the columns {missing} too, got {sorted(rows[0])}")
    return rows


def read_lines(path: Path) -> list[str]:
    """Lines of a text file, or of one that gzip packed.

    Raises:
        UserError: unreadable, or no text.

    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return content.decode("utf-8-sig").splitlines()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: expected a CSV table, got: {error}") from error
