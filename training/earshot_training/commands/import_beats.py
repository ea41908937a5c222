"""`earshot-train import-beats`: a checkpoint of the released BEATs code -> a model folder."""

import argparse
from pathlib import Path

from earshot_training.commands.options import SubCommands
from earshot_training.commands.precision_options import add_precision_options, chosen_precisions
from earshot_training.export.model_folder import write_model_folder
from earshot_training.model.artefact import Artefact
from earshot_training.model.released import load_released_encoder
from earshot_training.tokenizer.released import load_released_tokenizer


def add_parser(commands: SubCommands) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser("import-beats", help="turn Microsoft's files into a model folder")
    parser.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT.pt", help="a pre-trained or fine-tuned encoder"
    )
    parser.add_argument("--tokenizer", type=Path, metavar="TOKENIZER.pt")
    parser.add_argument("--out", type=Path, required=True, metavar="models/NAME")
    parser.add_argument("--name", help="default: the name of the folder")
    parser.add_argument("--revision", default="1")
    parser.add_argument(
        "--license",
        default="MIT",
        help="of the weights, as an SPDX identifier; default: MIT, that of the released project",
    )
    parser.add_argument("--description", help="default: what the files are")
    add_precision_options(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace an existing folder")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Read, check, write the graphs, and compare them with PyTorch before they are put in place."""
    artefact = load_released_encoder(options.checkpoint)
    tokenizer = None if options.tokenizer is None else load_released_tokenizer(options.tokenizer)
    parity = write_model_folder(
        options.out,
        artefact,
        name=options.name or options.out.name,
        revision=options.revision,
        license=options.license,
        description=options.description or _description(artefact, options.checkpoint),
        tokenizer=tokenizer,
        precisions=chosen_precisions(options),
        overwrite=options.overwrite,
    )
    difference = max(*parity.encoder.alone.values(), *parity.encoder.batch.values())
    print(f"{options.out}: {len(artefact.labels or ())} labels, within {difference:.1g} of PyTorch")
    if parity.tokenizer is not None:
        tokens, differing, _ = parity.tokenizer
        print(f"{options.out}: {tokens} tokens, {differing} named otherwise than in PyTorch")
    return 0


def _description(artefact: Artefact, checkpoint: Path) -> str:
    config = artefact.model.config
    stage = "pre-trained, without labels" if artefact.labels is None else "fine-tuned on AudioSet"
    return f"BEATs, {config.layers} x {config.dim}, {stage}; imported from {checkpoint.name}"
