"""A tagging run from its config to the artefact in its folder."""

import time
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
from earshot_training.train.convolutions import (
    ConvolutionsPlan,
    TrainedConvolutions,
    train_convolutions,
)
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

CONVOLUTIONS_FOLDER = "convolutions"


def finetune(
    config: FinetuneConfig,
    *,
    out: Path,
    device: torch.device,
    resume: bool = False,
    loader_workers: int = 0,
    limits: RunLimits | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> TaggingRun | None:
    """Train a tagger; afterwards the run's folder holds a checkpoint and its artefact.

    Convolutions that the config has are trained first, in a folder within; None: they have not
    finished. The weights kept are the average that the config names, at the step that was reached.

    Args:
        config: of the run.
        out: the run's folder.
        device: to train on.
        resume: go on from the folder's checkpoint, as if the run had not stopped.
        loader_workers: threads that read clips ahead.
        limits: what stops this call early; the steps are those of the tagger.
        say: where console lines go.

    Raises:
        UserError: a run lies in the folder already, or none to resume; clips that do not fit.

    """
    limits = limits or RunLimits()
    is_tagging = (out / CHECKPOINT_FILE).exists()
    is_first_part = config.convolutions is not None and not is_tagging
    assert_startable(out / CONVOLUTIONS_FOLDER if is_first_part else out, resume=resume)
    history = {} if config.init is None else {"started_from": load_artefact(config.init).training}
    started = time.monotonic()
    convolutions = _train_convolutions(
        config,
        out=out / CONVOLUTIONS_FOLDER,
        device=device,
        loader_workers=loader_workers,
        limits=limits,
        say=say,
    )
    if convolutions is not None:
        history["convolutions"] = convolutions.record
    left = limits.after(time.monotonic() - started)
    if left is None or (convolutions is not None and not convolutions.is_finished):
        return None
    run = create_tagging_run(
        config,
        checkpoint_path=out / CHECKPOINT_FILE,
        device=device,
        resume=is_tagging,
        loader_workers=loader_workers,
        convolutions=convolutions,
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
        limits=left,
        say=say,
    )
    if is_first_process():
        artefact = _create_artefact(run, history)
        save_artefact(out / ARTEFACT_FOLDER, artefact, overwrite=True)
    return run


def is_begun(out: Path) -> bool:
    """Whether the folder holds a run that can be resumed, if only its convolutions."""
    return any((folder / CHECKPOINT_FILE).exists() for folder in (out, out / CONVOLUTIONS_FOLDER))


def _train_convolutions(
    config: FinetuneConfig,
    *,
    out: Path,
    device: torch.device,
    loader_workers: int,
    limits: RunLimits,
    say: Callable[[str], None],
) -> TrainedConvolutions | None:
    if config.convolutions is None:
        return None
    plan = ConvolutionsPlan(
        width=config.encoder.convolution_width,
        data=config.data,
        negative_weight=config.tagging.negative_weight,
        statistics=config.fbank,
        seed=config.seed,
    )
    return train_convolutions(
        config.convolutions,
        plan,
        out=out,
        device=device,
        loader_workers=loader_workers,
        limits=limits,
        say=say,
    )


def _create_artefact(run: TaggingRun, history: dict[str, Any]) -> Artefact:
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
        training=record | history,
    )


def _trained_labels(run: TaggingRun) -> tuple[TrainedLabel, ...]:
    positives: list[int] = run.targets.positives.tolist()
    return tuple(
        TrainedLabel(mid=label.mid, name=label.name, trained=count > 0, positives=count)
        for label, count in zip(audioset_labels(), positives, strict=True)
    )
