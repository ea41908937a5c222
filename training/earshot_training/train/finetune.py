"""A tagging run put together: config -> clips, targets, model, objective and loop."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from earshot_training.config import (
    ConfigError,
    EncoderConfig,
    FbankStatistics,
    to_dict,
)
from earshot_training.config_file import load_config
from earshot_training.data.augment import AugmentConfig
from earshot_training.data.batch_feed import BatchFeed
from earshot_training.data.batches import ClipBatches
from earshot_training.data.clip_waveforms import WaveformCache
from earshot_training.data.dataset import ClipDataset
from earshot_training.data.licenses import with_licenses
from earshot_training.data.manifest import (
    Clip,
    clip_list_sha256,
    in_folds,
    read_manifest,
    without_recordings_of,
)
from earshot_training.data.readable import leave_out_unreadable
from earshot_training.data.sampler import ClipSampler, balanced_clip_weights
from earshot_training.data.targets import ClipTargets, create_targets
from earshot_training.errors import UserError
from earshot_training.labels.audioset import audioset_labels
from earshot_training.model.beats import Beats
from earshot_training.model.initial_weights import load_encoder
from earshot_training.objectives.tagging import TaggingConfig, TaggingObjective, initialise_head
from earshot_training.train.averaging import AveragingConfig
from earshot_training.train.loop import LoopConfig, LoopSettings, TrainingLoop
from earshot_training.train.optimizer import OptimizerConfig


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which clips are trained on, and how they are read."""

    manifest: Path
    """In a config file relative to that file."""
    folds: tuple[int, ...] = ()
    """Folds to train on; none named: all clips."""
    held_out_folds: tuple[int, ...] = ()
    """Folds to be scored: their clips, and all others of their recordings, are left out."""
    licenses: tuple[str, ...] = ()
    """Learn from clips of these licences alone, in any spelling and version; none named: from all.
    What is scored does not depend on it."""
    labelled: bool = False
    """Leave out clips without a label, instead of learning that all labels are absent in them."""
    batch_size: int = 32
    balanced: bool = False
    """Draw clips by how rare their labels are, with replacement."""
    cache: WaveformCache = "int16"

    def __post_init__(self) -> None:
        """Refuse a batch without clips."""
        if self.batch_size < 1:
            raise ConfigError(f"batch_size: expected at least 1, got {self.batch_size}")


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


def read_training_clips(config: DataConfig) -> tuple[Clip, ...]:
    """Read the manifest and keep the clips that the config names.

    Raises:
        UserError: no usable manifest, a fold or a licence that it does not have, no clip left.

    """
    listed = read_manifest(config.manifest)
    clips = in_folds(listed, config.folds) if config.folds else listed
    if config.held_out_folds:
        clips = without_recordings_of(clips, in_folds(listed, config.held_out_folds))
    if config.licenses:
        clips = with_licenses(clips, config.licenses)
    if config.labelled:
        clips = tuple(clip for clip in clips if clip.mids)
    if not clips:
        raise UserError(f"{config.manifest}: expected clips to train on, got none in the folds")
    return clips


def create_tagging_run(
    config: FinetuneConfig,
    *,
    checkpoint_path: Path,
    device: torch.device,
    resume: bool,
    loader_workers: int = 0,
) -> TaggingRun:
    """Read the manifest, build the model and the loop; with `resume`, restore the checkpoint."""
    clips, faults = leave_out_unreadable(read_training_clips(config.data))
    mids = [label.mid for label in audioset_labels()]
    targets = create_targets(clips, mids, negative_weight=config.tagging.negative_weight)
    run_config = to_dict(replace(config, data=replace(config.data, manifest=Path())))
    run_config["clips_sha256"] = clip_list_sha256(clips)
    model = _create_model(config, targets, load_init=not resume).to(device)
    objective = TaggingObjective(
        model,
        priors=targets.positives / len(clips),
        config=config.tagging,
        augment=config.augment,
    )
    loop = TrainingLoop(
        objective,
        BatchFeed(_create_batches(config, clips, targets), workers=loader_workers, device=device),
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
        clips=clips,
        targets=targets,
        run_config=run_config,
        faults=faults,
    )


def _create_batches(
    config: FinetuneConfig, clips: tuple[Clip, ...], targets: ClipTargets
) -> ClipBatches:
    sampler = ClipSampler(
        len(clips),
        config.data.batch_size,
        seed=config.seed,
        clip_weights=balanced_clip_weights(targets.targets) if config.data.balanced else None,
    )
    return ClipBatches(ClipDataset(clips, targets, cache=config.data.cache), sampler)


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
