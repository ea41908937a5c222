"""Where a fine-tuning may start: from an artefact, or from scratch."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from earshot_training.config import to_dict
from earshot_training.data.manifest import Clip
from earshot_training.errors import UserError
from earshot_training.json_file import read_json, write_json
from earshot_training.model.artefact import load_artefact
from earshot_training.model.fingerprint import network_sha256
from earshot_training.train.heard_clips import overlaps_training

SCRATCH = "scratch"
START_FILE = "start.json"


class Start(NamedTuple):
    """A name, which is that of its folder and its row, and what it names."""

    name: str
    artefact: Path | None
    """None: random weights."""


def parse_starts(texts: Sequence[str]) -> tuple[Start, ...]:
    """Read `NAME=ARTEFACT` or `scratch`, in the order of the table's rows.

    Raises:
        UserError: another form, a name twice, fewer than two.

    """
    starts = tuple(_parse(text) for text in texts)
    names = [start.name for start in starts]
    if len(names) < 2 or len(set(names)) < len(names):
        raise UserError(f"expected at least two starts of different names, got {names}")
    return starts


def keep_start(folder: Path, start: Start, scored: Sequence[Clip]) -> dict[str, Any]:
    """Write down what the start is, or hold it to what was written: one folder, one start.

    Returns:
        its path, hash, kind, and whether it has learnt from the scored clips.

    """
    record = _describe(start, scored)
    path = folder / START_FILE
    if not path.exists():
        write_json(path, record)
        return record
    saved = read_json(path)
    if saved.get("sha256") != record["sha256"]:
        raise UserError(
            f"{folder}: expected the start that it began with ({saved.get('artefact')}), "
            f"got other weights in {record['artefact']}"
        )
    return saved


def _parse(text: str) -> Start:
    if text == SCRATCH:
        return Start(SCRATCH, None)
    name, _, artefact = text.partition("=")
    if not artefact or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", name):
        raise UserError(
            f"expected --start NAME=ARTEFACT (letters, digits, '.', '_', '+', '-') or "
            f"--start {SCRATCH}, got {text!r}"
        )
    return Start(name, Path(artefact))


def _describe(start: Start, scored: Sequence[Clip]) -> dict[str, Any]:
    if start.artefact is None:
        return {"artefact": None, "sha256": None, "kind": SCRATCH, "has_learnt_scored_clips": False}
    artefact = load_artefact(start.artefact)
    return {
        "artefact": str(start.artefact),
        "sha256": network_sha256(artefact.model, to_dict(artefact.model.config)),
        "kind": artefact.kind,
        "has_learnt_scored_clips": overlaps_training(scored, artefact.training),
    }
