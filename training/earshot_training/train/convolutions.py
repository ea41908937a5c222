"""The convolutions of a tagging run, trained on its clips before the run itself."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from earshot_training.audio.fbank import Fbank
from earshot_training.config import ConfigError, FbankStatistics, to_dict
from earshot_training.data.augment_fbank import FbankAugmentConfig
from earshot_training.data.batch_feed import BatchFeed
from earshot_training.data.clip_waveforms import ClipWaveforms
from earshot_training.data.manifest import clip_list_sha256
from earshot_training.data.sampler import ClipSampler
from earshot_training.data.stored_fbanks import FbankBatches
from earshot_training.data.targets import create_classes
from earshot_training.errors import UserError
from earshot_training.model.convolutions import ConvolutionTagger
from earshot_training.objectives.competing_labels import CompetingLabelsObjective
from earshot_training.objectives.tagging import initialise_head
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
    draw_weights,
    read_tagging_data,
)

SEED_OFFSET = 1
"""Added to the run's seed: convolutions and encoder get other batches."""


@dataclass(frozen=True, kw_only=True)
class ConvolutionsConfig:
    """How the convolutions are trained, and how they are joined to the encoder."""

    loop: LoopConfig
    batch_size: int = 32
    dropout: float = 0.2
    """Of the mean over patches, before the labels."""
    augment: FbankAugmentConfig = field(default_factory=FbankAugmentConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    averaging: AveragingConfig = field(default_factory=AveragingConfig)
    encoder_share: float = 0.5
    """Where the two are joined, a label's logit is so much of the encoder's and the rest of the
    convolutions'."""

    def __post_init__(self) -> None:
        """Refuse shares that are none."""
        for name in ("dropout", "encoder_share"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected a share in [0, 1), got {getattr(self, name)}")


class ConvolutionsPlan(NamedTuple):
    """What convolutions are trained for: the run's sizes, clips and seed."""

    width: int
    data: DataConfig
    negative_weight: float
    statistics: FbankStatistics
    seed: int


class TrainedConvolutions(NamedTuple):
    """Convolutions with averaged weights and how they came about."""

    tagger: ConvolutionTagger
    record: dict[str, Any]
    is_finished: bool


def train_convolutions(
    config: ConvolutionsConfig,
    plan: ConvolutionsPlan,
    *,
    out: Path,
    device: torch.device,
    loader_workers: int = 0,
    limits: RunLimits,
    say: Callable[[str], None] = lambda _: None,
) -> TrainedConvolutions:
    """Train them, or go on where the folder's checkpoint stands.

    The folder then holds config, metrics and checkpoint. Of `limits` the steps are the tagger's;
    time and signals stop convolutions, too.

    Raises:
        UserError: several processes, whose batch norms would not be those of one.

    """
    data = read_tagging_data(plan.data, negative_weight=plan.negative_weight)
    run_config = _run_config(config, plan, data)
    tagger = _create_tagger(config, plan, data)
    loop = _create_loop(
        config, plan, data, tagger, out=out, device=device, loader_workers=loader_workers
    )
    if (out / CHECKPOINT_FILE).exists():
        loop.restore()
    if not loop.is_finished:
        if num_processes() > 1:
            raise UserError(
                f"expected one process until the convolutions have learnt, got {num_processes()}"
            )
        write_config(out, run_config)
        step, steps = loop.progress.step, config.loop.steps
        say(f"convolutions: {len(data.clips)} clips, steps {step} to {steps}")
        train_in_folder(
            loop,
            out,
            print_every_steps=config.loop.print_every_steps,
            limits=replace(limits, max_steps=None),
            say=say,
        )
    tagger.load_state_dict(loop.averaged_state())
    record = training_record("convolutions", loop, data.clips, run_config)
    return TrainedConvolutions(tagger.cpu(), record, loop.is_finished)


def _run_config(
    config: ConvolutionsConfig, plan: ConvolutionsPlan, data: TaggingData
) -> dict[str, Any]:
    """Make the table that a checkpoint must agree with; without paths and what comes later."""
    table = to_dict(config)
    table.pop("encoder_share")
    return table | {
        "width": plan.width,
        "data": to_dict(replace(plan.data, manifest=Path())),
        "fbank": to_dict(plan.statistics),
        "seed": plan.seed,
        "clips_sha256": clip_list_sha256(data.clips),
    }


def _create_tagger(
    config: ConvolutionsConfig, plan: ConvolutionsPlan, data: TaggingData
) -> ConvolutionTagger:
    torch.manual_seed(plan.seed + SEED_OFFSET)
    targets = data.targets
    tagger = ConvolutionTagger(
        plan.width, num_labels=targets.targets.shape[1], dropout=config.dropout
    )
    initialise_head(tagger.predictor, positives=targets.positives, num_clips=len(data.clips))
    return tagger


def _create_loop(
    config: ConvolutionsConfig,
    plan: ConvolutionsPlan,
    data: TaggingData,
    tagger: ConvolutionTagger,
    *,
    out: Path,
    device: torch.device,
    loader_workers: int,
) -> TrainingLoop[Any]:
    seed = plan.seed + SEED_OFFSET
    classes = create_classes(data.targets.targets)
    objective = CompetingLabelsObjective(
        tagger.to(device),
        statistics=plan.statistics,
        labels_of_class=classes.labels_of_class,
        augment=config.augment,
    )
    weights: Tensor | None = draw_weights(plan.data, data)
    batches = FbankBatches(
        ClipWaveforms(data.clips),
        fbank=Fbank(plan.statistics),
        targets=data.targets,
        classes=classes,
        sampler=ClipSampler(len(data.clips), config.batch_size, seed=seed, clip_weights=weights),
        piece_frames=config.augment.piece_frames,
        seed=seed,
    )
    return TrainingLoop(
        objective,
        BatchFeed(batches, workers=loader_workers, device=device),
        LoopSettings(
            loop=config.loop,
            optimizer=config.optimizer,
            averaging=config.averaging,
            seed=seed,
            run_config=_run_config(config, plan, data),
        ),
        checkpoint_path=out / CHECKPOINT_FILE,
        device=device,
    )
