"""`earshot-train pretrain`: clips without labels -> an encoder."""

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
from earshot_training.train.pretrain import PretrainConfig, load_pretrain_config, pretrain
from earshot_training.train.run_folder import ARTEFACT_FOLDER, RunLimits


def add_parser(commands: SubCommands) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser("pretrain", help="train an encoder to name hidden patches")
    parser.add_argument("config", type=Path, metavar="CONFIG.toml")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    tokens = parser.add_mutually_exclusive_group()
    tokens.add_argument("--tokens", type=Path, metavar="DIR", help="tokens made by tokenize")
    tokens.add_argument(
        "--random-projection",
        action="store_true",
        help="name the patches of each batch by the config's random projection (the default)",
    )
    parser.add_argument("--manifest", type=Path, help="instead of the config's data.manifest")
    parser.add_argument("--init", type=Path, metavar="ARTEFACT", help="encoder to start from")
    add_training_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train until the steps of the config are done or a limit or a signal stops it."""
    with StopSignal() as stop:
        done = pretrain(
            _load_config(options),
            out=options.out,
            tokens=options.tokens,
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
    say(f"step {done.loop.progress.step}: {state}; encoder in {options.out / ARTEFACT_FOLDER}")
    return 0


def _load_config(options: argparse.Namespace) -> PretrainConfig:
    config = load_pretrain_config(options.config)
    if options.manifest is not None:
        config = replace(config, data=replace(config.data, manifest=options.manifest))
    return config if options.init is None else replace(config, init=options.init)
