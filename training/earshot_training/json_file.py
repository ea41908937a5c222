"""Tables as JSON files, written whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any

from earshot_training.errors import UserError


def write_json(path: Path, table: dict[str, Any]) -> None:
    """Write the table, whole or not at all, and see it on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".unfinished")
    with unfinished.open("w", encoding="utf-8") as file:
        file.write(json.dumps(table, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def read_json(path: Path) -> dict[str, Any]:
    """Read a table that `write_json` wrote.

    Raises:
        UserError: no such file, or no table in it.

    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: expected a table of a run (JSON), got: {error}") from error
    if not isinstance(table, dict):
        raise UserError(f"{path}: expected a JSON object, got {type(table).__name__}")
    return table
