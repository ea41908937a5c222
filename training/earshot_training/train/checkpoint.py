"""All that a stopped run needs to go on, written so that a crash never leaves half a file."""

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from earshot_training.errors import UserError

SCHEMA_VERSION = 1


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write the state beside the old checkpoint, flush it to disk, then put it in its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".unfinished")
    with unfinished.open("wb") as file:
        torch.save({"schema_version": SCHEMA_VERSION, **state}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint on the CPU (tensors and plain values only, no code).

    Raises:
        UserError: no such file, not a checkpoint, or one of another schema.

    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise UserError(f"{path}: expected a checkpoint, got: {error}") from error
    if not isinstance(state, dict) or state.get("schema_version") != SCHEMA_VERSION:
        raise UserError(f"{path}: expected a checkpoint of schema {SCHEMA_VERSION}, got another")
    return state


def assert_same_config(saved: dict[str, Any], given: dict[str, Any], *, prefix: str = "") -> None:
    """Refuse to resume a run with another config than it began with; names the key."""
    for key in sorted(saved.keys() | given.keys()):
        was, now = saved.get(key), given.get(key)
        name = f"{prefix}{key}"
        if isinstance(was, dict) and isinstance(now, dict):
            assert_same_config(was, now, prefix=f"{name}.")
        elif was != now:
            raise UserError(f"expected to resume with {name} = {was!r}, got {now!r}")
