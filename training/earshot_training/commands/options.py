"""Options that several commands share."""

import argparse
from typing import TypeAlias

import torch

from earshot_training.errors import UserError
from earshot_training.freed_memory import keep_freed_memory
from earshot_training.processes import is_first_process, is_one_of_many, join_processes

SubCommands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
MANIFEST = "MANIFEST.jsonl"
"""How help texts call the file of a manifest."""


def add_device_options(parser: argparse.ArgumentParser) -> None:
    """Declare `--device` and `--threads`."""
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, metavar="N", help="processor threads of PyTorch")


def add_limit_options(parser: argparse.ArgumentParser) -> None:
    """Declare `--resume`, `--max-steps` and `--max-minutes`."""
    parser.add_argument("--resume", action="store_true", help="go on from the run's checkpoint")
    parser.add_argument("--max-steps", type=int, metavar="N", help="stop after N steps in all")
    parser.add_argument("--max-minutes", type=float, metavar="M", help="stop after M minutes")


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Declare `--loader-workers` and the options of limits and device."""
    add_limit_options(parser)
    add_device_options(parser)
    add_loader_options(parser)


def add_loader_options(parser: argparse.ArgumentParser) -> None:
    """Declare `--loader-workers`."""
    parser.add_argument(
        "--loader-workers",
        type=_worker_count,
        default=0,
        metavar="N",
        help="threads that read clips ahead",
    )


def say(line: str) -> None:
    """Print a line at once; of many processes the first one speaks."""
    if is_first_process():
        print(line, flush=True)


def use_device(options: argparse.Namespace) -> torch.device:
    """Set the threads, keep freed memory and answer the device that was asked for.

    Raises:
        UserError: no such device, or torchrun started many processes of a command for one.

    """
    if is_one_of_many():
        raise UserError(
            "expected this command without torchrun, which is for finetune, pretrain and "
            "train-tokenizer"
        )
    return torch.device(_choose_device_type(options))


def use_device_of_process(options: argparse.Namespace) -> torch.device:
    """Do as `use_device` does, and join the other processes where torchrun started some."""
    device_type = _choose_device_type(options)
    return join_processes(device_type) if is_one_of_many() else torch.device(device_type)


def _worker_count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number of at least 0, got {text!r}")
    return int(text)


def _choose_device_type(options: argparse.Namespace) -> str:
    if options.threads is not None:
        if options.threads < 1:
            raise UserError(f"expected --threads of at least 1, got {options.threads}")
        torch.set_num_threads(options.threads)
    keep_freed_memory()
    has_cuda = torch.cuda.is_available()
    if options.device == "cuda" and not has_cuda:
        raise UserError("expected a CUDA device for --device cuda, found none")
    return "cuda" if has_cuda and options.device != "cpu" else "cpu"
