"""A tagging run from its config to the artefact in its folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from earshot_training.config import to_dict
from earshot_training.data.readable import say_faults
from earshot_training.labels.audioset import audioset_labels
from earshot_training.model.artefact import Artefact, TrainedLabel, load_artefact, save_artefact
from earshot_training.model.beats import Beats
from earshot_training.processes import is_first_process
from earshot_training.train.finetune import FinetuneConfig, TaggingRun, create_tagging_run
from earshot_training.train.run_folder import (
    ARTEFACT_FOLDER,
    CHECKPOINT_FILE,
    RunLimits,
    assert_startable,
    train_in_folder,
    training_record,
    write_config,
)


def finetune(
    config: FinetuneConfig,
    *,
    out: Path,
    device: torch.device,
    resume: bool = False,
    loader_workers: int = 0,
    limits: RunLimits | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> TaggingRun:
    """Train a tagger; afterwards the run's folder holds a checkpoint and its artefact.

    The weights kept are the average that the config names, at the step that was reached.

    Args:
        config: of the run.
        out: the run's folder.
        device: to train on.
        resume: go on from the folder's checkpoint, as if the run had not stopped.
        loader_workers: threads that read clips ahead.
        limits: what stops this call early.
        say: where console lines go.

    Raises:
        UserError: a run lies in the folder already, or none to resume; clips that do not fit.

    """
    assert_startable(out, resume=resume)
    started_from = None if config.init is None else load_artefact(config.init).training
    run = create_tagging_run(
        config,
        checkpoint_path=out / CHECKPOINT_FILE,
        device=device,
        resume=resume,
        loader_workers=loader_workers,
    )
    write_config(out, to_dict(config))
    say_faults(run.faults, say)
    num_parameters = sum(parameter.numel() for parameter in run.model.parameters())
    say(
        f"{len(run.clips)} clips, {int(run.targets.trained.sum())} labels, "
        f"{num_parameters / 1e6:.2f} M parameters, steps {run.loop.progress.step} to "
        f"{config.loop.steps}"
    )
    train_in_folder(
        run.loop,
        out,
        print_every_steps=config.loop.print_every_steps,
        limits=limits or RunLimits(),
        say=say,
    )
    if is_first_process():
        artefact = _create_artefact(run, started_from=started_from)
        save_artefact(out / ARTEFACT_FOLDER, artefact, overwrite=True)
    return run


def _create_artefact(run: TaggingRun, *, started_from: dict[str, Any] | None) -> Artefact:
    """Weights and their whole history: what made the first weights is part of what made these."""
    record = training_record("tagging", run.loop, run.clips, run.run_config)
    trained = run.model
    model = Beats(trained.config, num_labels=trained.num_labels, statistics=trained.statistics)
    model.load_state_dict(run.loop.averaged_state())
    return Artefact(
        model=model,
        kind="finetuned",
        activation="sigmoid",
        labels=_trained_labels(run),
        training=record if started_from is None else record | {"started_from": started_from},
    )


def _trained_labels(run: TaggingRun) -> tuple[TrainedLabel, ...]:
    positives: list[int] = run.targets.positives.tolist()
    return tuple(
        TrainedLabel(mid=label.mid, name=label.name, trained=count > 0, positives=count)
        for label, count in zip(audioset_labels(), positives, strict=True)
    )
