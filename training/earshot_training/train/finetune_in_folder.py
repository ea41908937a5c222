"""A tagging run from its config to the artefact in its folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from earshot_training.config import to_dict
from earshot_training.data.readable import say_faults
from earshot_training.labels.audioset import audioset_labels
from earshot_training.model.artefact import Artefact, TrainedLabel, load_artefact, save_artefact
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
from earshot_training.train.teacher import TaughtData, TeacherRun, train_teacher

TEACHER_FOLDER = "teacher"


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

    A config with a teacher trains that first, in a folder within. The weights kept are the
    average that the config names, at the step that was reached.

    Args:
        config: of the run.
        out: the run's folder.
        device: to train on.
        resume: go on from the folder's checkpoint, as if the run had not stopped.
        loader_workers: threads that read clips ahead.
        limits: what stops this call early; their steps are the model's, not its teacher's.
        say: where console lines go.

    Raises:
        UserError: a run lies in the folder already, or none to resume; clips that do not fit.

    """
    limits = limits or RunLimits()
    teacher_folder, is_resumed = out / TEACHER_FOLDER, resume and (out / CHECKPOINT_FILE).exists()
    is_in_teacher = config.teacher is not None and not (out / CHECKPOINT_FILE).exists()
    assert_startable(teacher_folder if is_in_teacher else out, resume=resume)
    started_from = None if config.init is None else load_artefact(config.init).training
    teacher = _train_teacher(
        config,
        out=teacher_folder,
        device=device,
        loader_workers=loader_workers,
        limits=limits,
        say=say,
    )
    run = create_tagging_run(
        config,
        checkpoint_path=out / CHECKPOINT_FILE,
        device=device,
        resume=is_resumed,
        loader_workers=loader_workers,
        teacher=None if teacher is None else teacher.teacher,
    )
    if teacher is not None and not teacher.is_finished:
        return run
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
        limits=limits,
        say=say,
    )
    if is_first_process():
        artefact = _create_artefact(run, started_from=started_from, teacher=teacher)
        save_artefact(out / ARTEFACT_FOLDER, artefact, overwrite=True)
    return run


def is_begun(out: Path) -> bool:
    """Whether the folder holds a run that can be resumed, or its teacher's."""
    return any((folder / CHECKPOINT_FILE).exists() for folder in (out, out / TEACHER_FOLDER))


def _train_teacher(
    config: FinetuneConfig,
    *,
    out: Path,
    device: torch.device,
    loader_workers: int,
    limits: RunLimits,
    say: Callable[[str], None],
) -> TeacherRun | None:
    if config.teacher is None:
        return None
    common = TaughtData(data=config.data, fbank=config.fbank, seed=config.seed)
    return train_teacher(
        config.teacher,
        common,
        out=out,
        device=device,
        loader_workers=loader_workers,
        limits=limits,
        say=say,
    )


def _create_artefact(
    run: TaggingRun, *, started_from: dict[str, Any] | None, teacher: TeacherRun | None
) -> Artefact:
    """Weights and their whole history: what made the first weights is part of what made these."""
    record = training_record("tagging", run.loop, run.clips, run.run_config)
    if started_from is not None:
        record["started_from"] = started_from
    if teacher is not None:
        record["teacher"] = teacher.record
    return Artefact(
        model=run.averaged_model(),
        kind="finetuned",
        activation="sigmoid",
        labels=_trained_labels(run),
        training=record,
    )


def _trained_labels(run: TaggingRun) -> tuple[TrainedLabel, ...]:
    positives: list[int] = run.targets.positives.tolist()
    return tuple(
        TrainedLabel(mid=label.mid, name=label.name, trained=count > 0, positives=count)
        for label, count in zip(audioset_labels(), positives, strict=True)
    )
