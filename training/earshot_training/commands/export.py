"""`earshot-train export`: an artefact -> a model folder, which is all that the service reads."""

import argparse
from dataclasses import replace
from pathlib import Path

from earshot_training.commands.options import SubCommands
from earshot_training.commands.precision_options import add_precision_options, chosen_precisions
from earshot_training.compare.table import TABLE_FILE
from earshot_training.export.model_folder import write_model_folder
from earshot_training.json_file import read_json
from earshot_training.model.artefact import load_artefact
from earshot_training.tokenizer.artefact import load_tokenizer


def add_parser(commands: SubCommands) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser("export", help="write an artefact as a model folder (ONNX)")
    parser.add_argument("artefact", type=Path, metavar="ARTEFACT")
    parser.add_argument(
        "--tokenizer", type=Path, metavar="ARTEFACT", help="a tokenizer to go with the model"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="models/NAME")
    parser.add_argument("--name", help="default: the name of the folder")
    parser.add_argument("--revision", default="1")
    parser.add_argument("--license", required=True, help="of the weights, as an SPDX identifier")
    parser.add_argument("--description", required=True)
    add_precision_options(parser)
    parser.add_argument(
        "--comparison",
        type=Path,
        metavar="RUN",
        help="a finished `compare`, whose table goes into the card",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing folder")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the graphs and the card; refuses when ONNX and PyTorch differ by more than 1e-4."""
    artefact = load_artefact(options.artefact)
    if options.comparison is not None:
        comparison = {"comparison": read_json(options.comparison / TABLE_FILE)}
        artefact = replace(artefact, evaluation=artefact.evaluation | comparison)
    tokenizer = None if options.tokenizer is None else load_tokenizer(options.tokenizer)
    parity = write_model_folder(
        options.out,
        artefact,
        name=options.name or options.out.name,
        revision=options.revision,
        license=options.license,
        description=options.description,
        tokenizer=tokenizer,
        precisions=chosen_precisions(options),
        overwrite=options.overwrite,
    )
    difference = max(*parity.encoder.alone.values(), *parity.encoder.batch.values())
    print(f"{options.out}: ONNX within {difference:.1g} of PyTorch")
    return 0
