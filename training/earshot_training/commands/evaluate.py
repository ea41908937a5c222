"""`earshot-train evaluate`: how well an artefact tags the clips of a manifest."""

import argparse
from pathlib import Path
from typing import Any

from earshot_training.commands.options import SubCommands, add_device_options, use_device
from earshot_training.commands.scored_clips import add_scored_clips_options, listed_clips
from earshot_training.errors import UserError
from earshot_training.model.artefact import load_artefact, save_artefact
from earshot_training.train.cross_validation_summary import evaluate_by_cross_validation
from earshot_training.train.evaluation import evaluate
from earshot_training.train.evaluation_files import write_evaluation


def add_parser(commands: SubCommands) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser("evaluate", help="score an artefact and write the scores into it")
    parser.add_argument("artefact", type=Path, metavar="ARTEFACT")
    add_scored_clips_options(parser)
    parser.add_argument(
        "--shifts",
        type=int,
        default=1,
        metavar="N",
        help="hear each clip N times, moved by parts of a row, and average (the service does not)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE.json",
        help="write the scores here too, with tables of labels and confusions (CSV beside it)",
    )
    add_device_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Score the artefact; its `evaluation` and its labels' scores are replaced."""
    artefact = load_artefact(options.artefact)
    if artefact.labels is None:
        raise UserError(f"{options.artefact}: expected a model with labels, got one without")
    device = use_device(options)
    if options.cross_validation is not None:
        evaluation = evaluate_by_cross_validation(artefact, options.cross_validation)
    else:
        evaluation = evaluate(artefact, listed_clips(options), device=device, shifts=options.shifts)
    evaluation.artefact.model.cpu()
    save_artefact(options.artefact, evaluation.artefact, overwrite=True)
    if options.out is not None:
        write_evaluation(options.out, evaluation)
    print(_summary(evaluation.artefact.evaluation))
    return 0


def _summary(evaluation: dict[str, Any]) -> str:
    data, accuracy = evaluation["data"], evaluation["accuracy"]
    lines = [f"{data['clips']} clips, {evaluation['labels_scored']} labels scored"]
    names = ("mean_average_precision", "mean_auc", "d_prime")
    lines += [f"{name} {evaluation[name]:.4f}" for name in names if evaluation[name] is not None]
    if accuracy is not None:
        low, high = accuracy["wilson_95"]
        lines.append(
            f"accuracy {100 * accuracy['value']:.1f} % ({100 * low:.1f} to {100 * high:.1f}), "
            f"{accuracy['correct']} of {accuracy['clips']} clips, {accuracy['classes']} classes"
        )
    if evaluation["calibration"] is not None:
        lines += [
            f"expected calibration error of {name}: "
            f"{100 * evaluation['calibration'][key]['expected_calibration_error']:.1f} %"
            for key, name in (("pairs", "all pairs"), ("top_tag", "top tags"))
        ]
    if data["overlaps_training"]:
        lines.append("warning: clips of these folds were trained on; this is no test score")
    return "\n".join(lines)
