"""Options that several commands share."""

import argparse
from typing import TypeAlias

import torch

from earshot_training.errors import UserError

SubCommands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_device_options(parser: argparse.ArgumentParser) -> None:
    """Declare `--device` and `--threads`."""
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, metavar="N", help="processor threads of PyTorch")


def add_limit_options(parser: argparse.ArgumentParser) -> None:
    """Declare `--resume`, `--max-steps` and `--max-minutes`."""
    parser.add_argument("--resume", action="store_true", help="go on from the run's checkpoint")
    parser.add_argument("--max-steps", type=int, metavar="N", help="stop after N steps in all")
    parser.add_argument("--max-minutes", type=float, metavar="M", help="stop after M minutes")


def use_device(options: argparse.Namespace) -> torch.device:
    """Set the threads and answer the device that was asked for."""
    if options.threads is not None:
        if options.threads < 1:
            raise UserError(f"expected --threads of at least 1, got {options.threads}")
        torch.set_num_threads(options.threads)
    has_cuda = torch.cuda.is_available()
    if options.device == "cuda" and not has_cuda:
        raise UserError("expected a CUDA device for --device cuda, found none")
    return torch.device("cuda" if has_cuda and options.device != "cpu" else "cpu")
