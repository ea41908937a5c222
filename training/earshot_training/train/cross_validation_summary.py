"""What the folds of a cross-validation say together: scores, and how well scores are calibrated."""

import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from earshot_training.errors import UserError
from earshot_training.json_file import read_json, write_json
from earshot_training.model.artefact import Artefact, load_artefact
from earshot_training.train.calibration import (
    Calibration,
    calibrate_judged,
    calibration_of,
    fit_calibration,
)
from earshot_training.train.calibration_metrics import (
    CalibrationMetrics,
    JudgedClips,
    calibration_metrics,
    join_judged,
    judge_clips,
)
from earshot_training.train.evaluation import Evaluation, evaluate_scored
from earshot_training.train.heard_clips import any_of, overlaps_training
from earshot_training.train.run_folder import ARTEFACT_FOLDER
from earshot_training.train.scored_clips import LOGITS_FILE, ScoredClips, load_scored_clips

EVALUATION_FILE = "evaluation.json"
SUMMARY_FILE = "cross_validation.json"
TAGGERS_PROBE_FILE = "probe_of_taggers.json"
"""What `probe --cross-validation` found of the taggers' encoders; need not be there."""
SCORES = ("accuracy", "mean_average_precision", "mean_auc", "d_prime")


class FoldCalibration(NamedTuple):
    """Scale and shift for one fold, as the other folds' clips ask for."""

    calibration: Calibration
    judged: JudgedClips
    """The fold's clips, calibrated."""


def fold_folder(out: Path, fold: int) -> Path:
    """Where the run lies that scores a fold."""
    return out / f"fold-{fold}"


def is_scored(folder: Path) -> bool:
    """Whether a fold is done: its evaluation is written last."""
    return (folder / EVALUATION_FILE).exists() and (folder / LOGITS_FILE).exists()


def write_summary(out: Path, folds: Sequence[int]) -> str:
    """Write `cross_validation.json`: folds, mean, deviation, calibration; returns a table."""
    rows = [{"fold": fold, **_scores(fold_folder(out, fold) / EVALUATION_FILE)} for fold in folds]
    means = {name: _spread([row[name] for row in rows]) for name in SCORES}
    calibration = _calibration_record([judged_fold(out, fold) for fold in folds], folds)
    summary = {
        "folds": rows,
        "over_folds": means,
        "checkpoint": "last",
        "calibration": calibration,
    }
    write_json(out / SUMMARY_FILE, summary)
    lines = ["fold      " + "  ".join(f"{name:>22}" for name in SCORES)]
    lines += [_line(f"{row['fold']}", [row[name] for name in SCORES]) for row in rows]
    lines.append(_line("mean", [means[name]["mean"] for name in SCORES]))
    lines.append(_line("deviation", [means[name]["standard_deviation"] for name in SCORES]))
    return "\n".join([*lines, calibration_line(calibration)])


def read_summary(out: Path) -> dict[str, Any]:
    """Read `cross_validation.json`.

    Raises:
        UserError: no finished cross-validation lies there.

    """
    path = out / SUMMARY_FILE
    if not path.exists():
        raise UserError(f"{out}: expected a finished cross-validation, found no {path.name}")
    return read_json(path)


def folds_of(summary: dict[str, Any]) -> list[int]:
    """Name the folds that took turns."""
    return [row["fold"] for row in summary["folds"]]


def scored_by_others(out: Path, folds: Sequence[int]) -> ScoredClips:
    """All clips, each with the logits of the tagger that had not learnt from its fold."""
    parts = [load_scored_clips(fold_folder(out, fold)) for fold in folds]
    return ScoredClips(
        tuple(clip for part in parts for clip in part.clips),
        torch.cat([part.logits for part in parts]),
    )


def evaluate_by_cross_validation(artefact: Artefact, out: Path) -> Evaluation:
    """Score an artefact by the taggers of a cross-validation, each on the fold it had not heard.

    For an artefact that has learnt from all folds: what such a training comes to on unheard clips.
    Its own calibration is applied to the others' logits: thresholds are those of its scores.
    """
    summary = read_summary(out)
    folds = folds_of(summary)
    _assert_same_labels(artefact, fold_folder(out, folds[0]) / ARTEFACT_FOLDER)
    scored = scored_by_others(out, folds)
    calibration = calibration_of(artefact)
    scored = scored._replace(logits=calibration.scale * scored.logits + calibration.shift)
    source = {
        "overlaps_training": taggers_have_heard(out, folds),
        "scored_by": "taggers of a cross-validation",
        "learnt_by_weights": overlaps_training(scored.clips, artefact.training),
    }
    evaluation = evaluate_scored(artefact, scored, source=source)
    path = out / TAGGERS_PROBE_FILE
    probe = {"probe": read_json(path)} if path.exists() else {}
    record = evaluation.artefact.evaluation | {"cross_validation": summary | probe}
    return evaluation._replace(artefact=replace(evaluation.artefact, evaluation=record))


def taggers_have_heard(out: Path, folds: Sequence[int]) -> bool | None:
    """Whether any fold's tagger heard it, in whatever training before; None: some do not say."""
    return any_of([_has_heard_its_fold(fold_folder(out, fold)) for fold in folds])


def _has_heard_its_fold(folder: Path) -> bool | None:
    training = load_artefact(folder / ARTEFACT_FOLDER).training
    return overlaps_training(load_scored_clips(folder).clips, training)


def judged_fold(out: Path, fold: int) -> JudgedClips:
    """Clips of one fold, judged by the labels that their tagger was trained on."""
    folder = fold_folder(out, fold)
    labels = load_artefact(folder / ARTEFACT_FOLDER).labels
    return judge_clips(load_scored_clips(folder), labels or ())


def cross_fit(parts: Sequence[JudgedClips]) -> list[FoldCalibration]:
    """Calibrate each fold by scale and shift that the others were fitted with: none fits itself."""
    fitted = []
    for index, part in enumerate(parts):
        others = [other for place, other in enumerate(parts) if place != index]
        calibration = fit_calibration(join_judged(others))
        fitted.append(FoldCalibration(calibration, calibrate_judged(part, calibration)))
    return fitted


def _assert_same_labels(artefact: Artefact, other: Path) -> None:
    ours, theirs = (
        [label.mid for label in each.labels or ()] for each in (artefact, load_artefact(other))
    )
    if ours != theirs:
        raise UserError(
            f"expected an artefact with the {len(theirs)} labels of {other}, in their order, got "
            f"{len(ours)} others"
        )


def _calibration_record(
    parts: Sequence[JudgedClips], folds: Sequence[int]
) -> dict[str, Any] | None:
    """Errors before and after, over the clips of all folds; None where labels tell nothing."""
    before = calibration_metrics(join_judged(parts))
    try:
        fitted = cross_fit(parts)
    except UserError:
        # Too few labelled clips, or a tagger that has learnt nothing: there is nothing to fit.
        return None
    after = calibration_metrics(join_judged([fold.judged for fold in fitted]))
    return {
        "fitted_on": "for each fold, the clips of the others with the logits of their own taggers",
        "before": _record(before),
        "after": _record(after),
        "folds": [
            {"fold": fold, **part.calibration._asdict()}
            for fold, part in zip(folds, fitted, strict=True)
        ],
    }


def _record(metrics: CalibrationMetrics | None) -> dict[str, Any] | None:
    return None if metrics is None else metrics.to_record()


def calibration_line(record: dict[str, Any] | None) -> str:
    """Say the errors before and after."""
    if record is None or record["before"] is None or record["after"] is None:
        return "calibration: nothing to fit it on"
    errors = [
        f"{name.replace('_', ' ')} "
        f"{100 * record['before'][name]['expected_calibration_error']:.1f} % -> "
        f"{100 * record['after'][name]['expected_calibration_error']:.1f} %"
        for name in ("pairs", "top_tag")
    ]
    chance = 100 * record["after"]["top_tag"]["error_of_chance"]
    return (
        f"expected calibration error, before -> after: {', '.join(errors)} (by chance alone "
        f"{chance:.1f} %)"
    )


def _scores(path: Path) -> dict[str, Any]:
    record = read_json(path)
    accuracy = record["accuracy"]
    return {
        **{name: record[name] for name in SCORES if name != "accuracy"},
        "accuracy": None if accuracy is None else accuracy["value"],
        "clips": record["data"]["clips"],
        "clips_sha256": record["data"]["clips_sha256"],
    }


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
    """Mean and sample deviation; None where a fold has no score."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return {"mean": None, "standard_deviation": None}
    return {"mean": statistics.fmean(known), "standard_deviation": statistics.stdev(known)}


def _line(name: str, values: Sequence[float | None]) -> str:
    return f"{name:<10}" + "  ".join(
        f"{'-':>22}" if value is None else f"{value:>22.4f}" for value in values
    )
