"""What a tagging run learns from: config -> clips, targets and batches."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from earshot_training.audio.waveform import SAMPLE_RATE_HZ
from earshot_training.config import ConfigError
from earshot_training.data.batches import ClipBatches
from earshot_training.data.clip_waveforms import WaveformCache
from earshot_training.data.dataset import ClipDataset
from earshot_training.data.licenses import with_licenses
from earshot_training.data.manifest import Clip, in_folds, read_manifest, without_recordings_of
from earshot_training.data.readable import leave_out_unreadable
from earshot_training.data.sampler import (
    ClipSampler,
    balanced_clip_weights,
    group_clip_weights,
)
from earshot_training.data.targets import ClipTargets, create_targets
from earshot_training.errors import UserError
from earshot_training.labels.audioset import audioset_labels

Draw = Literal["alike", "by_label", "by_set_and_label"]


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
    draw: Draw = "alike"
    """Which clips come how often. `alike`: each once in a pass; the others draw with replacement.
    `by_label`: by how rare a clip's labels are. `by_set_and_label`: clips of one data set and label
    come together in proportion to the root of their number, so that neither a large set nor one
    with few clips makes up most of what is heard."""
    main_source: str = ""
    """Data set that `main_share` of what is drawn with replacement comes from."""
    main_share: float = 0.5
    cache: WaveformCache = "int16"

    def __post_init__(self) -> None:
        """Refuse a batch without clips, and a share of what is not drawn by shares."""
        if self.batch_size < 1:
            raise ConfigError(f"batch_size: expected at least 1, got {self.batch_size}")
        if not 0 < self.main_share < 1:
            raise ConfigError(f"main_share: expected a share in (0, 1), got {self.main_share}")
        if self.main_source and self.draw == "alike":
            raise ConfigError("main_source: expected none where clips are drawn alike")


class TaggingData(NamedTuple):
    """Clips that can be opened, and what is known of them."""

    clips: tuple[Clip, ...]
    targets: ClipTargets
    faults: tuple[str, ...]
    """Of clips left out, because their files cannot be opened."""


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


def read_tagging_data(config: DataConfig, *, negative_weight: float) -> TaggingData:
    """Read the clips and make their targets over AudioSet's labels.

    Raises:
        UserError: as `read_training_clips`, or no clip names a label.

    """
    clips, faults = leave_out_unreadable(read_training_clips(config))
    mids = [label.mid for label in audioset_labels()]
    return TaggingData(clips, create_targets(clips, mids, negative_weight=negative_weight), faults)


def create_clip_batches(
    config: DataConfig, data: TaggingData, *, max_clip_seconds: float, seed: int
) -> ClipBatches:
    """Make the endless source of batches, drawn as the config says."""
    sampler = ClipSampler(
        len(data.clips), config.batch_size, seed=seed, clip_weights=draw_weights(config, data)
    )
    return ClipBatches(
        ClipDataset(data.clips, data.targets, cache=config.cache),
        sampler,
        max_samples=round(max_clip_seconds * SAMPLE_RATE_HZ),
        seed=seed,
    )


def draw_weights(config: DataConfig, data: TaggingData) -> Tensor | None:
    """Weights (clips,) by which clips are drawn with replacement; None: all alike, without.

    Raises:
        UserError: the main set is not one of several.

    """
    if config.draw == "alike":
        return None
    if config.draw == "by_label":
        weights = balanced_clip_weights(data.targets.targets)
    else:
        weights = group_clip_weights([(clip.source, clip.mids) for clip in data.clips])
    if not config.main_source:
        return weights
    is_main = torch.tensor([clip.source == config.main_source for clip in data.clips])
    if is_main.all() or not is_main.any():
        raise UserError(f"main_source: expected one of several sets, got {config.main_source!r}")
    share = config.main_share
    main, others = weights[is_main].sum(), weights[~is_main].sum()
    return weights * torch.where(is_main, share / main, (1 - share) / others)
