"""An evaluation as files: `NAME.json` with all of it, and its tables as CSV beside it."""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from earshot_training.train.evaluation import Evaluation

LABEL_COLUMNS = ("mid", "name", "positives", "average_precision", "auc", "threshold")


def write_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Write `NAME.json`, `NAME.labels.csv` and, with classes, `NAME.confusion.csv`.

    The JSON file holds the artefact's `evaluation`, and the tables under `labels` and `confusion`.
    """
    labels = _label_rows(evaluation)
    confusion = None if evaluation.accuracy is None else evaluation.accuracy.confusion
    record = evaluation.artefact.evaluation | {
        "labels": [dict(zip(LABEL_COLUMNS, row, strict=True)) for row in labels],
        "confusion": None if confusion is None else confusion._asdict(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_csv(path.with_suffix(".labels.csv"), [LABEL_COLUMNS, *labels])
    if confusion is not None:
        rows = [
            (name, *counts)
            for name, counts in zip(confusion.classes, confusion.counts, strict=True)
        ]
        _write_csv(path.with_suffix(".confusion.csv"), [("true class", *confusion.classes), *rows])
    # The JSON file comes last: where it lies, the evaluation is whole.
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _label_rows(evaluation: Evaluation) -> list[tuple[Any, ...]]:
    """Labels that have positives among the clips, in the order of the label list."""
    labels = evaluation.artefact.labels or ()
    return [
        (
            label.mid,
            label.name,
            scored.positives,
            scored.average_precision,
            scored.auc,
            scored.threshold,
        )
        for label, scored in zip(labels, evaluation.labels, strict=True)
        if scored.positives > 0
    ]


def _write_csv(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
