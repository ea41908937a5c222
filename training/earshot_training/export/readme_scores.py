"""How well a model does, and how sure it may be, as its model card's README tells it."""

from collections.abc import Mapping
from typing import Any

from earshot_training.compare.table_text import table_lines
from earshot_training.export.readme_labels import clips_of

Record = Mapping[str, Any]

SCORES = {
    "mean_average_precision": "mean average precision",
    "mean_auc": "mean AUC",
    "d_prime": "d'",
}


def score_lines(card: Record) -> list[str]:
    """Give the scores with the clips that they are of."""
    evaluation = card["evaluation"]
    if "data" not in evaluation:
        return ["The model has not been scored."]
    lines = [*_clip_lines(evaluation["data"]), "", "| score | value |", "| --- | ---: |"]
    if evaluation["accuracy"] is not None:
        lines.append(_accuracy_line(evaluation["accuracy"]))
    lines += [
        f"| {title} ({evaluation['labels_scored']} labels) | {evaluation[name]:.3f} |"
        for name, title in SCORES.items()
        if evaluation[name] is not None
    ]
    chosen = sum(label["threshold"] is not None for label in card["labels"])
    lines += ["", f"Thresholds ({evaluation['thresholds']}): {chosen} labels have one."]
    if "cross_validation" in evaluation:
        lines += ["", *_cross_validation_lines(evaluation["cross_validation"])]
    if "comparison" in evaluation:
        lines += ["", "What the start of fine-tuning is worth:", ""]
        lines += table_lines(evaluation["comparison"])
    return lines


def calibration_lines(card: Record) -> list[str]:
    """Say whether a score is a frequency, and what was done for it."""
    fitted = card["training"].get("calibration")
    measured = card["evaluation"].get("calibration")
    lines = []
    if fitted is not None:
        data = fitted["data"]
        lines += [
            f"Logits were scaled by {fitted['scale']:.3f} and shifted by {fitted['shift']:.3f}, "
            f"fitted on {clips_of(data)}: {fitted['fitted_on']}. {_change(fitted)}",
            "",
        ]
    if measured is None:
        return [*lines, "The error of the scores as they are has not been measured."]
    top = measured["top_tag"]
    return [
        *lines,
        f"On the scored clips the expected calibration error ({measured['bins']}) is "
        f"{_percent(top)} for each clip's highest label ({top['count']} clips; by chance alone "
        f"{100 * top['error_of_chance']:.1f} %) and "
        f"{_percent(measured['pairs'])} over all pairs of clip and trained label. "
        "Of the highest labels:",
        "",
        "| mean score | share that was right | clips |",
        "| ---: | ---: | ---: |",
        *(
            f"| {row['mean_score']:.2f} | {row['share_true']:.2f} | {row['scores']} |"
            for row in top["bins"]
        ),
    ]


def _clip_lines(data: Record) -> list[str]:
    line = f"Measured on {clips_of(data)}"
    if "scored_by" in data:
        line += f", by {data['scored_by']}: each clip by one that had not learnt from its fold"
        line += ", as these weights have" if data.get("learnt_by_weights") else ""
    if data.get("shifts", 1) > 1:
        line += f"; each clip was heard {data['shifts']} times, which the service does not do"
    known = {
        True: " **Clips of these folds were trained on: this is no test score.**",
        False: "" if "scored_by" in data else " No clip of these folds was trained on.",
        None: " Whether clips were trained on is not recorded.",
    }
    return [line + "." + known[data["overlaps_training"]]]


def _accuracy_line(accuracy: Record) -> str:
    low, high = accuracy["wilson_95"]
    return (
        f"| accuracy ({accuracy['correct']} of {accuracy['clips']} clips, {accuracy['classes']} "
        f"classes; 95 % interval) | {100 * accuracy['value']:.1f} % ({100 * low:.1f} to "
        f"{100 * high:.1f}) |"
    )


def _cross_validation_lines(summary: Record) -> list[str]:
    rows = [
        f"| {row['fold']} | {row['clips']} | {_share(row['accuracy'])} | "
        f"{row['mean_average_precision']:.3f} | `{row['clips_sha256']}` |"
        for row in summary["folds"]
    ]
    accuracy, precision = (
        summary["over_folds"][name] for name in ("accuracy", "mean_average_precision")
    )
    return [
        "Fold by fold, last checkpoint:",
        "",
        "| fold | clips | accuracy | mAP | list |",
        "| --- | ---: | ---: | ---: | --- |",
        *rows,
        f"| mean | | {_share(accuracy['mean'])} | {precision['mean']:.3f} | |",
        *(_probe_lines(summary["probe"]) if "probe" in summary else ()),
    ]


def _probe_lines(probe: Record) -> list[str]:
    scores = probe["all"]
    return [
        "",
        f"{probe['of'].capitalize()}, on the {scores['scored_clips']} clips of its own fold: "
        f"linear probe of its encoder's layers {_share(scores['linear_accuracy'])}; by its clip "
        f"embedding, vote of the {probe['neighbours']} nearest clips "
        f"{_share(scores['knn_accuracy'])}, share of the {probe['retrieved']} nearest that are of "
        f"the clip's class {_share(scores['retrieval_precision'])}.",
    ]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _change(fitted: Record) -> str:
    if fitted["before"] is None or fitted["after"] is None:
        return "Their error was not measured."
    before, after = (_percent(fitted[name]["top_tag"]) for name in ("before", "after"))
    return f"The error of the highest label went from {before} to {after}."


def _percent(part: Record) -> str:
    return f"{100 * part['expected_calibration_error']:.1f} %"
