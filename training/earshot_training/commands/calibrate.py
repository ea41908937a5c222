"""`earshot-train calibrate`: an artefact -> the same with scores that are frequencies."""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import torch

from earshot_training.commands.options import SubCommands, add_device_options, use_device
from earshot_training.commands.scored_clips import add_scored_clips_options, listed_clips
from earshot_training.errors import UserError
from earshot_training.model.artefact import Artefact, load_artefact, save_artefact
from earshot_training.train.calibration import (
    Calibration,
    calibrate_artefact,
    calibrate_judged,
    fit_calibration,
)
from earshot_training.train.calibration_metrics import (
    calibration_metrics,
    join_judged,
    judge_clips,
)
from earshot_training.train.cross_validation_summary import (
    calibration_line,
    folds_of,
    judged_fold,
    read_summary,
    scored_by_others,
    taggers_have_heard,
)
from earshot_training.train.heard_clips import overlaps_training
from earshot_training.train.run_folder import clips_record
from earshot_training.train.scored_clips import score_clips


class Fit(NamedTuple):
    """A calibration, and what the artefact keeps of how it came about."""

    calibration: Calibration
    record: dict[str, Any]


def add_parser(commands: SubCommands) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "calibrate", help="fit a scale and a shift of the logits and put them into the weights"
    )
    parser.add_argument("artefact", type=Path, metavar="ARTEFACT")
    add_scored_clips_options(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="ARTEFACT2")
    add_device_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the calibrated artefact; its record says on what it was fitted and what it changed."""
    artefact, device = load_artefact(options.artefact), use_device(options)
    if artefact.labels is None:
        raise UserError(f"{options.artefact}: expected a model with labels, got one without")
    if options.cross_validation is not None:
        fit = _fit_by_cross_validation(options.cross_validation)
    else:
        fit = _fit_on_clips(artefact, options, device)
    save_artefact(options.out, calibrate_artefact(artefact, fit.calibration, record=fit.record))
    print(f"scale {fit.calibration.scale:.4f}, shift {fit.calibration.shift:.4f}")
    print(calibration_line(fit.record))
    if fit.record["data"]["overlaps_training"]:
        print("warning: clips of these folds were trained on; scores elsewhere will be too sure")
    return 0


def _fit_on_clips(artefact: Artefact, options: argparse.Namespace, device: torch.device) -> Fit:
    clips = listed_clips(options)
    scored = score_clips(artefact.model, clips, device=device)
    artefact.model.cpu()
    judged = judge_clips(scored, artefact.labels or ())
    calibration = fit_calibration(judged)
    errors = {
        name: metrics and metrics.to_record()
        for name, metrics in (
            ("before", calibration_metrics(judged)),
            ("after", calibration_metrics(calibrate_judged(judged, calibration))),
        )
    }
    overlap = {"overlaps_training": overlaps_training(clips, artefact.training)}
    record = {
        "fitted_on": "clips of the data below; the errors are of the same clips",
        "data": clips_record(clips) | overlap,
    }
    return Fit(calibration, record | errors)


def _fit_by_cross_validation(run_folder: Path) -> Fit:
    """Fit on all folds together; the errors are those of the cross-fitted scores."""
    summary = read_summary(run_folder)
    folds = folds_of(summary)
    calibration = fit_calibration(join_judged([judged_fold(run_folder, fold) for fold in folds]))
    clips = scored_by_others(run_folder, folds).clips
    overlap = {"overlaps_training": taggers_have_heard(run_folder, folds)}
    record = {
        "fitted_on": "clips of a cross-validation, with the logits of taggers that had not heard "
        "them; the errors are of scores that other folds have calibrated",
        "data": clips_record(clips) | overlap,
    }
    errors = summary["calibration"] or {"before": None, "after": None}
    return Fit(calibration, record | {name: errors[name] for name in ("before", "after")})
