"""`earshot-train finetune`: clips with labels -> a tagger."""

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
from earshot_training.train.cross_validation import assert_untold_start, cross_validate
from earshot_training.train.finetune import FinetuneConfig, load_finetune_config
from earshot_training.train.finetune_in_folder import finetune
from earshot_training.train.run_folder import ARTEFACT_FOLDER, RunLimits


def add_parser(commands: SubCommands) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser("finetune", help="train a tagger on a manifest, or go on with it")
    parser.add_argument("config", type=Path, metavar="CONFIG.toml")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--manifest", type=Path, help="instead of the config's data.manifest")
    parser.add_argument(
        "--init",
        type=Path,
        metavar="ARTEFACT",
        help="artefact to start from; with --cross-validate also the RUN of another one, whose "
        "taggers each start their own fold",
    )
    parser.add_argument(
        "--cross-validate",
        type=int,
        nargs="+",
        metavar="FOLD",
        help="train on all of these folds but one and score that one, each in turn",
    )
    add_training_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train until the steps of the config are done or a limit or a signal stops it.

    Either way the run's folder then holds a checkpoint and an artefact of the averaged weights.
    """
    config = _load_config(options)
    with StopSignal() as stop:
        arguments = {
            "out": options.out,
            "device": use_device_of_process(options),
            "resume": options.resume,
            "loader_workers": options.loader_workers,
            "limits": RunLimits(
                max_steps=options.max_steps,
                max_minutes=options.max_minutes,
                should_stop=lambda: stop.is_set,
            ),
            "say": say,
        }
        if options.cross_validate:
            assert_untold_start(config, options.cross_validate)
            is_done = cross_validate(config, folds=options.cross_validate, **arguments)
            say("all folds finished" if is_done else "stopped; go on with --resume")
            return 0
        done = finetune(config, **arguments)
    if done is None:
        say("stopped while the convolutions learn; go on with --resume")
        return 0
    progress, steps = done.loop.progress, config.loop.steps
    state = "finished" if done.loop.is_finished else "stopped; go on with --resume"
    say(f"step {progress.step} of {steps}: {state}; artefact in {options.out / ARTEFACT_FOLDER}")
    return 0


def _load_config(options: argparse.Namespace) -> FinetuneConfig:
    config = load_finetune_config(options.config)
    if options.manifest is not None:
        config = replace(config, data=replace(config.data, manifest=options.manifest))
    return config if options.init is None else replace(config, init=options.init)
