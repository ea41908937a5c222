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
from earshot_training.data.manifest import Clip, clip_list_sha256
from earshot_training.data.targets import ClipTargets
from earshot_training.labels.audioset import audioset_labels
from earshot_training.model.beats import Beats
from earshot_training.model.convolutions import ConvolutionTagger
from earshot_training.model.initial_weights import load_encoder
from earshot_training.objectives.tagging import TaggingConfig, TaggingObjective, initialise_head
from earshot_training.train.averaging import AveragingConfig
from earshot_training.train.convolutions import ConvolutionsConfig, TrainedConvolutions
from earshot_training.train.fitted_head import fit_head
from earshot_training.train.loop import LoopConfig, LoopSettings, TrainingLoop
from earshot_training.train.optimizer import OptimizerConfig
from earshot_training.train.precision import resolved_precision
from earshot_training.train.tagging_data import (
    DataConfig,
    TaggingData,
    create_clip_batches,
    read_tagging_data,
)


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
    fitted_head_l2: float = 0.0
    """Above 0: before the first step the head is fitted to what the encoder, of `init` or random,
    says of the clips, with this much l2 (`train/fitted_head.py`). 0: it is random, or `init`'s."""
    convolutions: ConvolutionsConfig | None = None
    """Train the model's convolutions first, alone, on the same clips; none: they are `init`'s."""

    def __post_init__(self) -> None:
        """Refuse an l2 below zero, and convolutions that the model does not have."""
        if self.fitted_head_l2 < 0:
            raise ConfigError(f"fitted_head_l2: expected at least 0, got {self.fitted_head_l2}")
        if self.convolutions is None:
            return
        if not self.encoder.convolution_width:
            raise ConfigError("convolutions: expected encoder.convolution_width above 0, got 0")
        if self.fitted_head_l2 > 0:
            raise ConfigError(
                "fitted_head_l2: expected 0 where convolutions bring a head of their own, got "
                f"{self.fitted_head_l2}"
            )


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


def create_tagging_run(
    config: FinetuneConfig,
    *,
    checkpoint_path: Path,
    device: torch.device,
    resume: bool,
    loader_workers: int = 0,
    convolutions: TrainedConvolutions | None = None,
) -> TaggingRun:
    """Read the manifest, build the model and the loop; with `resume`, restore the checkpoint.

    A config with convolutions needs those that it led to.
    """
    data = read_tagging_data(config.data, negative_weight=config.tagging.negative_weight)
    run_config = to_dict(replace(config, data=replace(config.data, manifest=Path())))
    run_config["clips_sha256"] = clip_list_sha256(data.clips)
    model = _create_model(config, data.targets, load_init=not resume)
    if config.convolutions is not None and not resume:
        if convolutions is None:
            raise ValueError("expected convolutions that have learnt, as the config has some")
        _join(model, convolutions.tagger, encoder_share=config.convolutions.encoder_share)
    model.to(device)
    if config.fitted_head_l2 > 0 and not resume:
        _fit_head(config, model, data, device)
    batches = create_clip_batches(
        config.data, data, max_clip_seconds=config.augment.max_clip_seconds, seed=config.seed
    )
    objective = TaggingObjective(
        model,
        priors=data.targets.positives / len(data.clips),
        config=config.tagging,
        augment=config.augment,
    )
    loop = TrainingLoop(
        objective,
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


def _fit_head(
    config: FinetuneConfig, model: Beats, data: TaggingData, device: torch.device
) -> None:
    is_half = resolved_precision(config.loop.precision, device) == "bf16"
    fit_head(
        model,
        data,
        l2=config.fitted_head_l2,
        max_clip_seconds=config.augment.max_clip_seconds,
        device=device,
        autocast=lambda: torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_half),
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
            # Of a start without convolutions, what they would say is not there.
            model.predictor.weight[row, : source.in_features] = source.weight[row_of[label.mid]]
            model.predictor.bias[row] = source.bias[row_of[label.mid]]


@torch.no_grad()
def _join(model: Beats, tagger: ConvolutionTagger, *, encoder_share: float) -> None:
    """Give the model convolutions that have learnt: its logits become a mean of both's."""
    convolutions, predictor = model.convolutions, model.predictor
    assert convolutions is not None
    assert predictor is not None
    convolutions.load_state_dict(tagger.convolutions.state_dict())
    share, dim = encoder_share, model.config.dim
    predictor.weight[:, :dim] *= share
    predictor.weight[:, dim:] = (1 - share) * tagger.predictor.weight
    predictor.bias.lerp_(tagger.predictor.bias.to(predictor.bias), 1 - share)
