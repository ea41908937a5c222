"""`earshot-train tokenize`: every patch of a manifest -> its token id, stored."""

import argparse
from pathlib import Path

import torch

from earshot_training.commands.options import SubCommands, add_device_options, use_device
from earshot_training.data.manifest import read_manifest
from earshot_training.tokenizer.artefact import load_tokenizer
from earshot_training.tokenizer.distilled import DistilledTokenizer
from earshot_training.tokenizer.make_tokens import make_tokens
from earshot_training.tokenizer.random_projection import (
    NORMS,
    RandomProjectionConfig,
    RandomProjectionTokenizer,
)

RANDOM = "random"


def add_parser(commands: SubCommands) -> None:
    """Declare the command and its options."""
    default = RandomProjectionConfig()
    parser = commands.add_parser("tokenize", help="name every patch of a manifest, once")
    parser.add_argument(
        "tokenizer", metavar="TOKENIZER", help=f"artefact of a tokenizer, or '{RANDOM}'"
    )
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the token store")
    parser.add_argument("--batch-size", type=int, default=16, metavar="N", help="clips at a time")
    random = parser.add_argument_group(f"with '{RANDOM}'")
    random.add_argument("--norm", choices=NORMS, default=default.norm)
    random.add_argument("--seed", type=int, default=default.seed)
    random.add_argument("--codebook-size", type=int, default=default.codebook_size, metavar="N")
    add_device_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Tokenise and say how evenly the codes are used."""
    device = use_device(options)
    tokenizer = _open_tokenizer(options, device)
    made = make_tokens(
        tokenizer,
        read_manifest(options.manifest),
        options.out,
        device=device,
        batch_size=options.batch_size,
        say=lambda line: print(line, flush=True),
    )
    print(
        f"{made.header.num_tokens} tokens of {made.header.num_clips} clips in {options.out}: "
        f"{made.codebook_usage:.1%} of {made.header.codebook_size} codes in use, "
        f"perplexity {made.perplexity:.1f}"
    )
    return 0


def _open_tokenizer(
    options: argparse.Namespace, device: torch.device
) -> RandomProjectionTokenizer | DistilledTokenizer:
    if options.tokenizer != RANDOM:
        return load_tokenizer(Path(options.tokenizer)).tokenizer.to(device)
    config = RandomProjectionConfig(
        norm=options.norm, seed=options.seed, codebook_size=options.codebook_size
    )
    return RandomProjectionTokenizer(config).to(device)
