"""`earshot-train card`: README.md of a model folder, anew from its model.json."""

import argparse
from pathlib import Path

from earshot_training.commands.options import SubCommands
from earshot_training.export.readme import write_readme


def add_parser(commands: SubCommands) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser("card", help="write the README.md of a model folder anew")
    parser.add_argument("folder", type=Path, metavar="models/NAME")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the page; `export` does so too."""
    print(write_readme(options.folder))
    return 0
