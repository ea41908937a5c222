"""`earshot-train card`: README.md and checksums of a model folder, anew."""

import argparse
from pathlib import Path

from earshot_training.commands.options import SubCommands
from earshot_training.export.checksums import write_checksums
from earshot_training.export.readme import write_readme


def add_parser(commands: SubCommands) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "card", help="write the README.md and the checksums of a model folder anew"
    )
    parser.add_argument("folder", type=Path, metavar="models/NAME")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the page; `export` does so too."""
    print(write_readme(options.folder))
    print(write_checksums(options.folder))
    return 0
