"""`earshot-train train-tokenizer`: a trained encoder -> a tokenizer that knows what it knows."""

import argparse
from dataclasses import replace
from pathlib import Path

from earshot_training.commands.options import (
    SubCommands,
    add_training_options,
    say,
    use_device_of_process,
)
from earshot_training.commands.stop_signal import StopSignal
from earshot_training.train.run_folder import ARTEFACT_FOLDER, RunLimits
from earshot_training.train.train_tokenizer import (
    TrainTokenizerConfig,
    load_train_tokenizer_config,
    train_tokenizer,
)


def add_parser(commands: SubCommands) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser("train-tokenizer", help="distil an encoder into a tokenizer")
    parser.add_argument("config", type=Path, metavar="CONFIG.toml")
    parser.add_argument("--teacher", type=Path, required=True, metavar="ARTEFACT")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--manifest", type=Path, help="instead of the config's data.manifest")
    parser.add_argument("--init", type=Path, metavar="ARTEFACT", help="encoder to start from")
    add_training_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train until the steps of the config are done or a limit or a signal stops it."""
    with StopSignal() as stop:
        done = train_tokenizer(
            _load_config(options),
            teacher=options.teacher,
            out=options.out,
            device=use_device_of_process(options),
            resume=options.resume,
            loader_workers=options.loader_workers,
            limits=RunLimits(
                max_steps=options.max_steps,
                max_minutes=options.max_minutes,
                should_stop=lambda: stop.is_set,
            ),
            say=say,
        )
    state = "finished" if done.loop.is_finished else "stopped; go on with --resume"
    say(f"step {done.loop.progress.step}: {state}; tokenizer in {options.out / ARTEFACT_FOLDER}")
    return 0


def _load_config(options: argparse.Namespace) -> TrainTokenizerConfig:
    config = load_train_tokenizer_config(options.config)
    if options.manifest is not None:
        config = replace(config, data=replace(config.data, manifest=options.manifest))
    return config if options.init is None else replace(config, init=options.init)
