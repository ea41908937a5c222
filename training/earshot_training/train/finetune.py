"""A tagging run put together: config -> clips, targets, model, objective and loop."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from earshot_training.config import (
    EncoderConfig,
    FbankStatistics,
    to_dict,
)
from earshot_training.config_file import load_config
from earshot_training.data.augment import AugmentConfig
from earshot_training.data.batch_feed import BatchFeed
from earshot_training.data.manifest import Clip, clip_list_sha256
from earshot_training.data.targets import ClipTargets
from earshot_training.labels.audioset import audioset_labels
from earshot_training.model.beats import Beats
from earshot_training.model.initial_weights import load_encoder
from earshot_training.objectives.objective import Objective
from earshot_training.objectives.tagging import TaggingConfig, TaggingObjective, initialise_head
from earshot_training.objectives.taught_tagging import TaughtTagger, TaughtTaggingObjective, Teacher
from earshot_training.train.averaging import AveragingConfig
from earshot_training.train.loop import LoopConfig, LoopSettings, TrainingLoop
from earshot_training.train.optimizer import OptimizerConfig
from earshot_training.train.tagging_data import (
    DataConfig,
    TaggingData,
    create_clip_batches,
    read_tagging_data,
)
from earshot_training.train.teacher import TeacherConfig

_MODEL_IN_TAUGHT = "model."


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """Everything that decides what a tagging run comes to."""

    seed: int
    encoder: EncoderConfig
    data: DataConfig
    loop: LoopConfig
    fbank: FbankStatistics = field(default_factory=FbankStatistics)
    tagging: TaggingConfig = field(default_factory=TaggingConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    averaging: AveragingConfig = field(default_factory=AveragingConfig)
    init: Path | None = None
    """Artefact to start from; none: from scratch. In a config file relative to that file."""
    teacher: TeacherConfig | None = None
    """A convolutional network that learns from the same clips first and then teaches the model."""


@dataclass(frozen=True, kw_only=True)
class TaggingRun:
    """A run that is ready to start or to be resumed."""

    model: Beats
    loop: TrainingLoop[Any]
    clips: tuple[Clip, ...]
    targets: ClipTargets
    run_config: dict[str, Any]
    faults: tuple[str, ...]
    """Of clips left out, because their files cannot be opened."""

    def averaged_model(self) -> Beats:
        """Make a tagger of its own, with the averaged weights."""
        model = Beats(
            self.model.config, num_labels=self.model.num_labels, statistics=self.model.statistics
        )
        prefix = _MODEL_IN_TAUGHT if isinstance(self.loop.module, TaughtTagger) else ""
        state = self.loop.averaged_state()
        names = model.state_dict().keys()
        model.load_state_dict({name: state[prefix + name] for name in names})
        return model


def load_finetune_config(path: Path) -> FinetuneConfig:
    """Read a TOML file; its paths are taken relative to its own folder.

    Raises:
        UserError: unreadable, not TOML.
        ConfigError: a key unknown, missing or of a wrong type.

    """
    config = load_config(FinetuneConfig, path)
    return replace(
        config,
        data=replace(config.data, manifest=path.parent / config.data.manifest),
        init=None if config.init is None else path.parent / config.init,
    )


def create_tagging_run(
    config: FinetuneConfig,
    *,
    checkpoint_path: Path,
    device: torch.device,
    resume: bool,
    loader_workers: int = 0,
    teacher: Teacher | None = None,
) -> TaggingRun:
    """Read the manifest, build the model and the loop; with `resume`, restore the checkpoint.

    A config with a teacher needs one that has learnt, over AudioSet's labels.
    """
    data = read_tagging_data(config.data, negative_weight=config.tagging.negative_weight)
    run_config = to_dict(replace(config, data=replace(config.data, manifest=Path())))
    run_config["clips_sha256"] = clip_list_sha256(data.clips)
    model = _create_model(config, data.targets, load_init=not resume).to(device)
    batches = create_clip_batches(
        config.data, data, batch_size=config.data.batch_size, seed=config.seed
    )
    loop: TrainingLoop[Any] = TrainingLoop(
        _create_objective(config, model, data, teacher),
        BatchFeed(batches, workers=loader_workers, device=device),
        LoopSettings(
            loop=config.loop,
            optimizer=config.optimizer,
            averaging=config.averaging,
            seed=config.seed,
            run_config=run_config,
        ),
        checkpoint_path=checkpoint_path,
        device=device,
    )
    if resume:
        loop.restore()
    return TaggingRun(
        model=model,
        loop=loop,
        clips=data.clips,
        targets=data.targets,
        run_config=run_config,
        faults=data.faults,
    )


def _create_objective(
    config: FinetuneConfig, model: Beats, data: TaggingData, teacher: Teacher | None
) -> Objective[Any]:
    tagging = TaggingObjective(
        model,
        priors=data.targets.positives / len(data.clips),
        config=config.tagging,
        augment=config.augment,
    )
    if config.teacher is None:
        return tagging
    if teacher is None:
        raise ValueError("expected a teacher that has learnt, as the config has one, got none")
    device = next(model.parameters()).device
    return TaughtTaggingObjective(
        TaughtTagger(model, teacher_dim=teacher.network.config.dim).to(device),
        tagging=tagging,
        teacher=teacher.to(device),
        trained=data.targets.trained.to(device),
        config=config.teacher.teaching,
    )


def _create_model(config: FinetuneConfig, targets: ClipTargets, *, load_init: bool) -> Beats:
    torch.manual_seed(config.seed)
    num_labels = targets.targets.shape[1]
    model = Beats(config.encoder, num_labels=num_labels, statistics=config.fbank)
    predictor = model.predictor
    assert predictor is not None
    initialise_head(predictor, positives=targets.positives, num_clips=len(targets.targets))
    if config.init is not None and load_init:
        _load_init(model, config.init, trained=targets.trained)
    return model


@torch.no_grad()
def _load_init(model: Beats, path: Path, *, trained: torch.Tensor) -> None:
    """Start from an artefact: its encoder, and its head for labels that both runs train."""
    artefact = load_encoder(model, path)
    if artefact.labels is None or model.predictor is None or artefact.model.predictor is None:
        return
    row_of = {label.mid: row for row, label in enumerate(artefact.labels) if label.trained}
    for row, label in enumerate(audioset_labels()):
        if trained[row] and label.mid in row_of:
            source = artefact.model.predictor
            model.predictor.weight[row] = source.weight[row_of[label.mid]]
            model.predictor.bias[row] = source.bias[row_of[label.mid]]
