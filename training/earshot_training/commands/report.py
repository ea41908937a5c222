"""`earshot-train report`: the files of an iterate run -> its report, anew."""

import argparse
from pathlib import Path

from earshot_training.commands.options import SubCommands
from earshot_training.iterate.report import read_run, verdict_sentence, write_report
from earshot_training.iterate.run_folder import RunFolder


def add_parser(commands: SubCommands) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser("report", help="write the report of an iterate run anew")
    parser.add_argument("run_folder", type=Path, metavar="RUN")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write report.md and the plots."""
    folder = RunFolder(options.run_folder)
    found = read_run(folder)
    folder.write_metrics()
    path = write_report(folder)
    print(f"{verdict_sentence(found.outcome, found.config)} Report in {path}")
    return 0
