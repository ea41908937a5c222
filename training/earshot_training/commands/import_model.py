"""`earshot-train import-model`: a model folder -> an artefact, to be trained further."""

import argparse
from pathlib import Path

from earshot_training.commands.options import SubCommands
from earshot_training.export.exported_artefact import read_exported_artefact
from earshot_training.model.artefact import save_artefact


def add_parser(commands: SubCommands) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "import-model", help="turn a model folder back into an artefact, to train it further"
    )
    parser.add_argument("model", type=Path, metavar="models/NAME")
    parser.add_argument("--out", type=Path, required=True, metavar="ARTEFACT")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Read the float32 graph and the card, write the artefact."""
    artefact = read_exported_artefact(options.model)
    save_artefact(options.out, artefact)
    parameters = sum(parameter.numel() for parameter in artefact.model.parameters()) / 1e6
    print(f"{options.out}: {parameters:.2f} M parameters, {len(artefact.labels or ())} labels")
    return 0
