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
from earshot_training.config import to_dict
from earshot_training.data.readable import say_faults
from earshot_training.labels.audioset import audioset_labels
from earshot_training.model.artefact import Artefact, TrainedLabel, save_artefact
from earshot_training.model.beats import Beats
from earshot_training.processes import is_first_process
from earshot_training.train.finetune import (
    FinetuneConfig,
    TaggingRun,
    create_tagging_run,
    load_finetune_config,
)
from earshot_training.train.run_folder import (
    ARTEFACT_FOLDER,
    CHECKPOINT_FILE,
    RunLimits,
    assert_startable,
    train_in_folder,
    training_record,
    write_config,
)


def add_parser(commands: SubCommands) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser("finetune", help="train a tagger on a manifest, or go on with it")
    parser.add_argument("config", type=Path, metavar="CONFIG.toml")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--manifest", type=Path, help="instead of the config's data.manifest")
    parser.add_argument("--init", type=Path, metavar="ARTEFACT", help="artefact to start from")
    add_training_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train until the steps of the config are done or a limit or a signal stops it.

    Either way the run's folder then holds a checkpoint and an artefact of the averaged weights.
    """
    config = _load_config(options)
    assert_startable(options.out, resume=options.resume)
    tagging_run = create_tagging_run(
        config,
        checkpoint_path=options.out / CHECKPOINT_FILE,
        device=use_device_of_process(options),
        resume=options.resume,
        loader_workers=options.loader_workers,
    )
    write_config(options.out, to_dict(config))
    _train(tagging_run, config, options)
    if is_first_process():
        _save(tagging_run, options.out / ARTEFACT_FOLDER)
    progress, steps = tagging_run.loop.progress, config.loop.steps
    state = "finished" if tagging_run.loop.is_finished else "stopped; go on with --resume"
    say(f"step {progress.step} of {steps}: {state}; artefact in {options.out / ARTEFACT_FOLDER}")
    return 0


def _load_config(options: argparse.Namespace) -> FinetuneConfig:
    config = load_finetune_config(options.config)
    if options.manifest is not None:
        config = replace(config, data=replace(config.data, manifest=options.manifest))
    return config if options.init is None else replace(config, init=options.init)


def _train(tagging_run: TaggingRun, config: FinetuneConfig, options: argparse.Namespace) -> None:
    loop = tagging_run.loop
    say_faults(tagging_run.faults, say)
    num_parameters = sum(parameter.numel() for parameter in tagging_run.model.parameters())
    say(
        f"{len(tagging_run.clips)} clips, {int(tagging_run.targets.trained.sum())} labels, "
        f"{num_parameters / 1e6:.2f} M parameters, steps {loop.progress.step} to "
        f"{config.loop.steps}"
    )
    with StopSignal() as stop:
        train_in_folder(
            loop,
            options.out,
            print_every_steps=config.loop.print_every_steps,
            limits=RunLimits(
                max_steps=options.max_steps,
                max_minutes=options.max_minutes,
                should_stop=lambda: stop.is_set,
            ),
            say=say,
        )


def _save(tagging_run: TaggingRun, folder: Path) -> None:
    trained = tagging_run.model
    model = Beats(trained.config, num_labels=trained.num_labels, statistics=trained.statistics)
    model.load_state_dict(tagging_run.loop.averaged_state())
    artefact = Artefact(
        model=model,
        kind="finetuned",
        activation="sigmoid",
        labels=_trained_labels(tagging_run),
        training=training_record(
            "tagging", tagging_run.loop, tagging_run.clips, tagging_run.run_config
        ),
    )
    save_artefact(folder, artefact, overwrite=True)


def _trained_labels(tagging_run: TaggingRun) -> tuple[TrainedLabel, ...]:
    positives: list[int] = tagging_run.targets.positives.tolist()
    return tuple(
        TrainedLabel(mid=label.mid, name=label.name, trained=count > 0, positives=count)
        for label, count in zip(audioset_labels(), positives, strict=True)
    )
