"""The table of a comparison: every start beside the first, with what chance alone would do."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from earshot_training.compare.starts import START_FILE
from earshot_training.compare.table_text import table_text
from earshot_training.config import to_dict
from earshot_training.data.manifest import Clip, clip_list_sha256
from earshot_training.errors import UserError
from earshot_training.json_file import read_json, write_json
from earshot_training.model.artefact import load_artefact
from earshot_training.probe.paired import mcnemar_p, paired_gain
from earshot_training.train.cross_validation_summary import fold_folder, read_summary
from earshot_training.train.evaluation import clip_accuracy
from earshot_training.train.finetune import FinetuneConfig
from earshot_training.train.metrics import wilson_interval
from earshot_training.train.run_folder import ARTEFACT_FOLDER
from earshot_training.train.scored_clips import load_scored_clips

TABLE_FILE = "table.json"
TEXT_FILE = "table.md"
PROBE_FILE = "probe.json"


class Decided(NamedTuple):
    """Clips whose class has a label, and whether it was told right."""

    clips: tuple[Clip, ...]
    is_correct: npt.NDArray[np.bool_]


def write_table(
    out: Path, names: Sequence[str], config: FinetuneConfig, folds: Sequence[int]
) -> str:
    """Write `table.json` and `table.md` of the starts named; returns the text.

    Raises:
        UserError: starts that were scored on different clips.

    """
    decided = [_decide(out / name, folds) for name in names]
    rows = [
        _row(out / name, mine, decided[0] if number else None)
        for number, (name, mine) in enumerate(zip(names, decided, strict=True))
    ]
    table = {
        "folds": list(folds),
        "clips": None if decided[0] is None else len(decided[0].clips),
        "clips_sha256": None if decided[0] is None else clip_list_sha256(decided[0].clips),
        "budget": _budget(config),
        "rows": rows,
    }
    write_json(out / TABLE_FILE, table)
    text = table_text(table)
    (out / TEXT_FILE).write_text(text, encoding="utf-8")
    return text


def _decide(run: Path, folds: Sequence[int]) -> Decided | None:
    clips: list[Clip] = []
    is_correct: list[bool] = []
    for fold in folds:
        folder = fold_folder(run, fold)
        scored = load_scored_clips(folder)
        accuracy = clip_accuracy(scored, load_artefact(folder / ARTEFACT_FOLDER).labels or ())
        if accuracy is None:
            return None
        for clip, is_right in zip(scored.clips, accuracy.is_correct, strict=True):
            if is_right is not None:
                clips.append(clip)
                is_correct.append(is_right)
    return Decided(tuple(clips), np.array(is_correct, dtype=bool))


def _row(run: Path, mine: Decided | None, first: Decided | None) -> dict[str, Any]:
    summary = read_summary(run)
    probe = read_json(run / PROBE_FILE) if (run / PROBE_FILE).exists() else None
    return {
        "name": run.name,
        "start": read_json(run / START_FILE),
        "accuracy": None if mine is None else _accuracy(mine),
        "difference": None if mine is None or first is None else _difference(mine, first),
        "mean_average_precision": summary["over_folds"]["mean_average_precision"],
        "probe": probe,
        "calibration": summary["calibration"],
    }


def _accuracy(decided: Decided) -> dict[str, Any]:
    correct, clips = int(decided.is_correct.sum()), len(decided.is_correct)
    return {
        "value": correct / clips,
        "wilson_95": list(wilson_interval(correct, clips)),
        "correct": correct,
        "clips": clips,
    }


def _difference(mine: Decided, first: Decided) -> dict[str, Any]:
    names, others = (
        [(clip.source, clip.recording, clip.path.stem) for clip in decided.clips]
        for decided in (mine, first)
    )
    if names != others:
        raise UserError(
            f"expected all starts to be scored on the same clips, got {len(names)} and "
            f"{len(others)} of different lists"
        )
    gain = paired_gain(mine.is_correct, first.is_correct)
    return {**gain._asdict(), "mcnemar_p": mcnemar_p(mine.is_correct, first.is_correct)}


def _budget(config: FinetuneConfig) -> dict[str, Any]:
    """Tell what every start gets: the config without its paths."""
    table = to_dict(config)
    table["data"].pop("manifest")
    table.pop("init")
    return table
