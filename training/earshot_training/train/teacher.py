"""A convolutional teacher, trained on the clips of a tagging run before the run itself."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from earshot_training.audio.fbank import Fbank
from earshot_training.config import FbankStatistics, to_dict
from earshot_training.data.augment import AugmentConfig
from earshot_training.data.batch_feed import BatchFeed
from earshot_training.data.manifest import clip_list_sha256
from earshot_training.data.targets import ClipTargets, create_classes
from earshot_training.errors import UserError
from earshot_training.model.convnet import ConvNet, ConvNetConfig
from earshot_training.objectives.classification import ClassificationObjective
from earshot_training.objectives.taught_tagging import Teacher, TeachingConfig
from earshot_training.processes import num_processes
from earshot_training.train.averaging import AveragingConfig
from earshot_training.train.loop import LoopConfig, LoopSettings, TrainingLoop
from earshot_training.train.optimizer import OptimizerConfig
from earshot_training.train.run_folder import (
    CHECKPOINT_FILE,
    RunLimits,
    train_in_folder,
    training_record,
    write_config,
)
from earshot_training.train.tagging_data import (
    DataConfig,
    TaggingData,
    create_clip_batches,
    read_tagging_data,
)

TEACHER_SEED = 1
"""Added to the run's: model and teacher get other batches."""


@dataclass(frozen=True, kw_only=True)
class TeacherConfig:
    """How the teacher is trained, and how much it has to say afterwards."""

    loop: LoopConfig
    network: ConvNetConfig = field(default_factory=ConvNetConfig)
    batch_size: int = 32
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    averaging: AveragingConfig = field(default_factory=AveragingConfig)
    teaching: TeachingConfig = field(default_factory=TeachingConfig)


class TaughtData(NamedTuple):
    """What teacher and model both learn from."""

    data: DataConfig
    fbank: FbankStatistics
    seed: int


class TeacherRun(NamedTuple):
    """A teacher and how it came about."""

    teacher: Teacher
    """With averaged weights."""
    record: dict[str, Any]
    is_finished: bool


def train_teacher(
    config: TeacherConfig,
    common: TaughtData,
    *,
    out: Path,
    device: torch.device,
    loader_workers: int = 0,
    limits: RunLimits,
    say: Callable[[str], None] = lambda _: None,
) -> TeacherRun:
    """Train the teacher, or go on where the folder's checkpoint stands.

    The folder then holds its config, metrics and checkpoint. The steps of `limits` are the
    model's; time and signals stop a teacher too.

    Raises:
        UserError: several processes, whose batch norms would not be those of one.

    """
    if num_processes() > 1:
        raise UserError(f"expected one process for a run with a teacher, got {num_processes()}")
    data, labels_of_class = _read_classes(common.data)
    run_config = _run_config(config, common, data)
    loop = _create_loop(
        config, common, data, run_config, out=out, device=device, loader_workers=loader_workers
    )
    if (out / CHECKPOINT_FILE).exists():
        loop.restore()
    if not loop.is_finished:
        write_config(out, run_config)
        step, steps = loop.progress.step, config.loop.steps
        say(f"teacher: {len(labels_of_class)} classes, steps {step} to {steps}")
        train_in_folder(
            loop,
            out,
            print_every_steps=config.loop.print_every_steps,
            limits=replace(limits, max_steps=None),
            say=say,
        )
    network = ConvNet(config.network, num_classes=len(labels_of_class))
    network.load_state_dict(loop.averaged_state())
    record = training_record("classification", loop, data.clips, run_config)
    return TeacherRun(Teacher(network, labels_of_class), record, loop.is_finished)


def _read_classes(config: DataConfig) -> tuple[TaggingData, Tensor]:
    """Clips with classes in place of their labels, and the labels of each class."""
    data = read_tagging_data(config, negative_weight=1.0)
    classes = create_classes(data.targets.targets)
    positives = classes.targets.sum(dim=0).long()
    targets = ClipTargets(
        targets=classes.targets,
        weights=torch.ones_like(classes.targets),
        trained=positives > 0,
        positives=positives,
    )
    return data._replace(targets=targets), classes.labels_of_class


def _run_config(config: TeacherConfig, common: TaughtData, data: TaggingData) -> dict[str, Any]:
    """Make the table that a checkpoint must agree with; without paths and what comes later."""
    table = to_dict(config)
    table.pop("teaching")
    return table | {
        "data": to_dict(replace(common.data, manifest=Path())),
        "fbank": to_dict(common.fbank),
        "seed": common.seed,
        "clips_sha256": clip_list_sha256(data.clips),
    }


def _create_loop(
    config: TeacherConfig,
    common: TaughtData,
    data: TaggingData,
    run_config: dict[str, Any],
    *,
    out: Path,
    device: torch.device,
    loader_workers: int,
) -> TrainingLoop[Any]:
    seed = common.seed + TEACHER_SEED
    torch.manual_seed(seed)
    network = ConvNet(config.network, num_classes=data.targets.targets.shape[1])
    objective = ClassificationObjective(
        network.to(device), fbank=Fbank(common.fbank).to(device), augment=config.augment
    )
    batches = create_clip_batches(common.data, data, batch_size=config.batch_size, seed=seed)
    return TrainingLoop(
        objective,
        BatchFeed(batches, workers=loader_workers, device=device),
        LoopSettings(
            loop=config.loop,
            optimizer=config.optimizer,
            averaging=config.averaging,
            seed=seed,
            run_config=run_config,
        ),
        checkpoint_path=out / CHECKPOINT_FILE,
        device=device,
    )
