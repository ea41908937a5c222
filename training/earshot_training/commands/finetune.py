"""`earshot-train finetune`: clips with labels -> a tagger."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch

from earshot_training.commands.options import SubCommands, add_device_options, use_device
from earshot_training.commands.stop_signal import StopSignal
from earshot_training.config import to_dict
from earshot_training.data.manifest import clip_list_sha256
from earshot_training.errors import UserError
from earshot_training.labels.audioset import audioset_labels
from earshot_training.model.artefact import Artefact, TrainedLabel, save_artefact
from earshot_training.model.beats import Beats
from earshot_training.train.finetune import (
    FinetuneConfig,
    TaggingRun,
    create_tagging_run,
    load_finetune_config,
)
from earshot_training.train.run_log import RunLog
from earshot_training.train.source_version import source_version

CHECKPOINT_FILE = "checkpoint.pt"
CONFIG_FILE = "config.json"
METRICS_FILE = "metrics.jsonl"
ARTEFACT_FOLDER = "artefact"


def add_parser(commands: SubCommands) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser("finetune", help="train a tagger on a manifest, or go on with it")
    parser.add_argument("config", type=Path, metavar="CONFIG.toml")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--manifest", type=Path, help="instead of the config's data.manifest")
    parser.add_argument("--init", type=Path, metavar="ARTEFACT", help="artefact to start from")
    parser.add_argument("--resume", action="store_true", help="go on from the run's checkpoint")
    parser.add_argument("--max-steps", type=int, metavar="N", help="stop after N steps in all")
    parser.add_argument("--max-minutes", type=float, metavar="M", help="stop after M minutes")
    add_device_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train until the steps of the config are done or a limit or a signal stops it.

    Either way the run's folder then holds a checkpoint and an artefact of the averaged weights.
    """
    config = _load_config(options)
    _assert_startable(options)
    tagging_run = create_tagging_run(
        config,
        checkpoint_path=options.out / CHECKPOINT_FILE,
        device=use_device(options),
        resume=options.resume,
    )
    options.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(to_dict(config), indent=2)
    (options.out / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
    _train(tagging_run, config, options)
    _save(tagging_run, options.out / ARTEFACT_FOLDER)
    progress, steps = tagging_run.loop.progress, config.loop.steps
    state = "finished" if tagging_run.loop.is_finished else "stopped; go on with --resume"
    print(f"step {progress.step} of {steps}: {state}; artefact in {options.out / ARTEFACT_FOLDER}")
    return 0


def _load_config(options: argparse.Namespace) -> FinetuneConfig:
    config = load_finetune_config(options.config)
    if options.manifest is not None:
        config = replace(config, data=replace(config.data, manifest=options.manifest))
    return config if options.init is None else replace(config, init=options.init)


def _assert_startable(options: argparse.Namespace) -> None:
    checkpoint = options.out / CHECKPOINT_FILE
    if options.resume and not checkpoint.exists():
        raise UserError(f"expected a checkpoint to resume, found no {checkpoint}")
    if checkpoint.exists() and not options.resume:
        raise UserError(f"expected a new folder or --resume, found {checkpoint}")
    for name in ("max_steps", "max_minutes"):
        limit = getattr(options, name)
        if limit is not None and limit <= 0:
            raise UserError(f"expected --{name.replace('_', '-')} above 0, got {limit}")


def _train(tagging_run: TaggingRun, config: FinetuneConfig, options: argparse.Namespace) -> None:
    loop = tagging_run.loop
    num_parameters = sum(parameter.numel() for parameter in tagging_run.model.parameters())
    print(
        f"{len(tagging_run.clips)} clips, {int(tagging_run.targets.trained.sum())} labels, "
        f"{num_parameters / 1e6:.2f} M parameters, steps {loop.progress.step} to "
        f"{config.loop.steps}",
        flush=True,
    )
    log = RunLog(
        options.out / METRICS_FILE,
        first_step=loop.progress.step,
        print_every_steps=config.loop.print_every_steps,
        say=lambda line: print(line, flush=True),
    )
    max_seconds = None if options.max_minutes is None else 60 * options.max_minutes
    with StopSignal() as stop:
        loop.run(
            log,
            max_steps=options.max_steps,
            max_seconds=max_seconds,
            should_stop=lambda: stop.is_set,
        )
    log.close()


def _save(tagging_run: TaggingRun, folder: Path) -> None:
    trained = tagging_run.model
    model = Beats(trained.config, num_labels=trained.num_labels, statistics=trained.statistics)
    model.load_state_dict(tagging_run.loop.averaged_state())
    artefact = Artefact(
        model=model,
        kind="finetuned",
        activation="sigmoid",
        labels=_trained_labels(tagging_run),
        training=_training_record(tagging_run),
    )
    save_artefact(folder, artefact, overwrite=True)


def _trained_labels(tagging_run: TaggingRun) -> tuple[TrainedLabel, ...]:
    positives: list[int] = tagging_run.targets.positives.tolist()
    return tuple(
        TrainedLabel(mid=label.mid, name=label.name, trained=count > 0, positives=count)
        for label, count in zip(audioset_labels(), positives, strict=True)
    )


def _training_record(tagging_run: TaggingRun) -> dict[str, object]:
    """Record what made the weights: data, config, effort, code."""
    clips, progress = tagging_run.clips, tagging_run.loop.progress
    return {
        "objective": "tagging",
        "finished": tagging_run.loop.is_finished,
        "steps": progress.step,
        "clips_seen": progress.clips,
        "audio_hours_seen": round(progress.audio_seconds / 3600, 3),
        "cpu_seconds": round(progress.cpu_seconds, 1),
        "wall_seconds": round(progress.wall_seconds, 1),
        "data": {
            "sources": sorted({clip.source for clip in clips}),
            "folds": sorted({clip.fold for clip in clips if clip.fold is not None}),
            "clips": len(clips),
            "hours": round(sum(clip.seconds for clip in clips) / 3600, 3),
            "licenses": sorted({clip.license for clip in clips if clip.license is not None}),
            "clips_sha256": clip_list_sha256(clips),
        },
        "config": tagging_run.run_config,
        "code": source_version(),
        "torch": torch.__version__,
    }
