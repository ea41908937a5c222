"""Options that say which precisions of the graphs to write, and what judges them."""

import argparse
from pathlib import Path

from earshot_training.data.manifest import in_folds, read_manifest
from earshot_training.data.readable import leave_out_unreadable, say_faults
from earshot_training.errors import UserError
from earshot_training.export.arithmetic import PRECISIONS
from earshot_training.export.encoder_files import Precisions, parse_precisions


def add_precision_options(parser: argparse.ArgumentParser) -> None:
    """Declare `--precisions` and the clips of the gate."""
    parser.add_argument(
        "--precisions",
        default="fp32",
        metavar="P[,P]",
        help=f"of {', '.join(PRECISIONS)}; fp32 is always written",
    )
    parser.add_argument(
        "--gate-manifest",
        type=Path,
        metavar="MANIFEST",
        help="labelled clips on which the other precisions must answer as fp32 does",
    )
    parser.add_argument(
        "--gate-folds",
        type=int,
        nargs="+",
        default=[],
        metavar="FOLD",
        help="of that manifest; default: all clips",
    )
    parser.add_argument(
        "--ungated",
        action="store_true",
        help="keep precisions that miss the gate or have no clips to pass it; the card says so",
    )


def chosen_precisions(options: argparse.Namespace) -> Precisions:
    """Read the options; clips that cannot be opened are named and left out."""
    names = parse_precisions(options.precisions)
    if options.gate_manifest is None:
        if options.gate_folds:
            raise UserError("Expected --gate-manifest with --gate-folds, got none")
        return Precisions(names=names, ungated=options.ungated)
    clips = read_manifest(options.gate_manifest)
    clips = in_folds(clips, options.gate_folds) if options.gate_folds else clips
    clips, faults = leave_out_unreadable(clips)
    say_faults(faults, print)
    return Precisions(names=names, gate_clips=tuple(clips), ungated=options.ungated)
