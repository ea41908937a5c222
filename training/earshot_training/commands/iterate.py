"""`earshot-train iterate`: tokenizer and encoder in turn until they have converged."""

import argparse
from dataclasses import replace
from pathlib import Path

from earshot_training.commands.options import (
    SubCommands,
    add_device_options,
    add_loader_options,
    use_device,
)
from earshot_training.commands.stop_signal import StopSignal
from earshot_training.iterate.budget import Budget
from earshot_training.iterate.config import IterateConfig, load_iterate_config
from earshot_training.iterate.context import create_context
from earshot_training.iterate.loop import iterate
from earshot_training.iterate.report import verdict_sentence, write_report
from earshot_training.iterate.run_folder import RunFolder

CHECK_FAILED_STATUS = 1


def add_parser(commands: SubCommands) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "iterate", help="train tokenizers and encoders in turn until they converge"
    )
    parser.add_argument("config", type=Path, metavar="CONFIG.toml")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the run; one that lies there goes on"
    )
    parser.add_argument("--manifest", type=Path, help="instead of the config's corpus.manifest")
    parser.add_argument(
        "--probe-manifest", type=Path, help="instead of the config's probe_manifest"
    )
    parser.add_argument(
        "--max-steps", type=int, metavar="N", help="stop after N optimizer steps of this call"
    )
    parser.add_argument("--max-minutes", type=float, metavar="M", help="stop after M minutes")
    add_device_options(parser)
    add_loader_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Work on the run until it has a verdict or a limit or a signal stops it; status 1: failure.

    Either way the folder then holds a report.
    """
    config = _load_config(options)
    folder = RunFolder(options.out)
    with StopSignal() as stop:
        context = create_context(
            config,
            folder,
            device=use_device(options),
            budget=Budget(
                max_steps=options.max_steps,
                max_minutes=options.max_minutes,
                is_stop_asked=lambda: stop.is_set,
            ),
            say=lambda line: print(line, flush=True),
            loader_workers=options.loader_workers,
        )
        outcome = iterate(context)
    report = write_report(folder)
    print(f"{verdict_sentence(outcome, config)} Report in {report}")
    if outcome.state == "unfinished":
        print("The same command goes on with it.")
    return CHECK_FAILED_STATUS if outcome.state == "failure" else 0


def _load_config(options: argparse.Namespace) -> IterateConfig:
    config = load_iterate_config(options.config)
    if options.manifest is not None:
        config = replace(config, corpus=replace(config.corpus, manifest=options.manifest))
    if options.probe_manifest is not None:
        config = replace(config, probe_manifest=options.probe_manifest)
    return config
