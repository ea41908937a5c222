"""Options that name the clips an artefact is judged by."""

import argparse
from pathlib import Path

from earshot_training.data.manifest import Clip, in_folds, read_manifest
from earshot_training.data.readable import leave_out_unreadable, say_faults


def add_scored_clips_options(parser: argparse.ArgumentParser) -> None:
    """Declare `--manifest` with `--folds`, and `--cross-validation` in their place."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--manifest", type=Path, help="clips to run the artefact on")
    source.add_argument(
        "--cross-validation",
        type=Path,
        metavar="RUN",
        help="clips of a finished `finetune --cross-validate`, as its taggers have scored them",
    )
    parser.add_argument(
        "--folds",
        type=int,
        nargs="+",
        default=[],
        metavar="FOLD",
        help="of the manifest; default: all clips",
    )


def listed_clips(options: argparse.Namespace) -> tuple[Clip, ...]:
    """Clips of the manifest's folds; those that cannot be opened are named and left out."""
    clips = read_manifest(options.manifest)
    clips, faults = leave_out_unreadable(in_folds(clips, options.folds) if options.folds else clips)
    say_faults(faults, print)
    return clips
