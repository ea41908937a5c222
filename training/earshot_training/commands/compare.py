"""`earshot-train compare`: what several starts of the same fine-tuning are worth."""

import argparse
from dataclasses import replace
from pathlib import Path

from earshot_training.commands.options import (
    SubCommands,
    add_device_options,
    add_loader_options,
    say,
    use_device,
)
from earshot_training.commands.stop_signal import StopSignal
from earshot_training.compare.comparison import compare
from earshot_training.compare.starts import parse_starts
from earshot_training.compare.table import TEXT_FILE
from earshot_training.train.finetune import FinetuneConfig, load_finetune_config
from earshot_training.train.run_folder import RunLimits


def add_parser(commands: SubCommands) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "compare", help="cross-validate the same fine-tuning from several starts"
    )
    parser.add_argument("config", type=Path, metavar="CONFIG.toml", help="as of finetune")
    parser.add_argument(
        "--start",
        action="append",
        required=True,
        metavar="NAME=ARTEFACT",
        help="a start and the name of its row, or `scratch`; repeat it, the first is the measure",
    )
    parser.add_argument("--folds", type=int, nargs="+", required=True, metavar="FOLD")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the run; one that lies there goes on"
    )
    parser.add_argument("--manifest", type=Path, help="instead of the config's data.manifest")
    parser.add_argument("--max-minutes", type=float, metavar="M", help="stop after M minutes")
    add_device_options(parser)
    add_loader_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Work until every start has its row, or a limit or a signal stops it."""
    with StopSignal() as stop:
        is_done = compare(
            _load_config(options),
            parse_starts(options.start),
            folds=options.folds,
            out=options.out,
            device=use_device(options),
            loader_workers=options.loader_workers,
            limits=RunLimits(max_minutes=options.max_minutes, should_stop=lambda: stop.is_set),
            say=say,
        )
    say(
        f"all starts finished: {options.out / TEXT_FILE}"
        if is_done
        else "stopped; the same command goes on with it"
    )
    return 0


def _load_config(options: argparse.Namespace) -> FinetuneConfig:
    config = load_finetune_config(options.config)
    if options.manifest is None:
        return config
    return replace(config, data=replace(config.data, manifest=options.manifest))
