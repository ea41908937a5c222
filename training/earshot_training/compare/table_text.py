"""The table of a comparison as people read it."""

from collections.abc import Mapping
from typing import Any

COLUMNS = (
    "start",
    "accuracy (95 %)",
    "difference",
    "p",
    "mAP",
    "linear probe",
    "kNN",
    "calibration error",
)


def table_text(table: dict[str, Any]) -> str:
    """Lay out what `table.json` holds as a page of Markdown."""
    return "\n".join(["# What each start is worth", "", *table_lines(table)]) + "\n"


def table_lines(table: Mapping[str, Any]) -> list[str]:
    """Make the table with what it is of, and notes, as lines of Markdown."""
    loop, data = table["budget"]["loop"], table["budget"]["data"]
    return [
        f"{loop['steps']} steps of {data['batch_size'] * loop['accumulate']} clips from every "
        f"start, cross-validated over folds {', '.join(map(str, table['folds']))}, last "
        "checkpoint.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "| --- |" + " ---: |" * (len(COLUMNS) - 1),
        *(_line(row) for row in table["rows"]),
        "",
        *_notes(table),
    ]


def _line(row: dict[str, Any]) -> str:
    accuracy, difference, probe = row["accuracy"], row["difference"], row["probe"]
    calibration = row["calibration"]
    cells = [
        row["name"],
        "-" if accuracy is None else _share_with_interval(accuracy),
        "-" if difference is None else _points(difference),
        "-" if difference is None else f"{difference['mcnemar_p']:.2g}",
        _mean(row["mean_average_precision"]),
        *(
            "-" if probe is None else f"{100 * probe[f'{name}_accuracy']:.1f} %"
            for name in ("linear", "knn")
        ),
        "-" if calibration is None else _errors(calibration),
    ]
    return "| " + " | ".join(cells) + " |"


def _share_with_interval(accuracy: dict[str, Any]) -> str:
    low, high = accuracy["wilson_95"]
    return f"{100 * accuracy['value']:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def _points(difference: dict[str, Any]) -> str:
    return f"{difference['gain_pp']:+.1f} ± {difference['standard_error_pp']:.1f}"


def _mean(spread: dict[str, Any]) -> str:
    if spread["mean"] is None:
        return "-"
    return f"{spread['mean']:.3f} ± {spread['standard_deviation']:.3f}"


def _errors(calibration: dict[str, Any]) -> str:
    before, after = (
        calibration[name]["top_tag"]["expected_calibration_error"] for name in ("before", "after")
    )
    return f"{100 * before:.1f} -> {100 * after:.1f} %"


def _notes(table: Mapping[str, Any]) -> list[str]:
    first = table["rows"][0]["name"]
    lines = [
        f"Accuracy is over the {table['clips']} clips whose class has a label (list "
        f"`{table['clips_sha256']}`), with its Wilson interval. The difference is to {first}, in "
        "points, paired over these clips, ± one standard error; p is McNemar's exact test. mAP: "
        "mean over the folds ± standard deviation. Linear probe and kNN are of the frozen start, "
        "over all classes. Calibration error: of each clip's highest label, before -> after "
        "scale and shift that other folds were fitted with.",
    ]
    learnt = [
        row["name"] for row in table["rows"] if row["start"]["has_learnt_scored_clips"] is not False
    ]
    if learnt:
        lines += [
            "",
            f"Scored clips are (or may be) among what these starts have learnt from: "
            f"{', '.join(learnt)}. Of starts without labels the comparison is transductive; a "
            "start that has learnt their labels is no fair one.",
        ]
    return lines
