"""The config of a whole run, and what it means for each stage of each iteration."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from earshot_training.config import (
    ConfigError,
    EncoderConfig,
    FbankStatistics,
    assert_pretrainable,
)
from earshot_training.config_file import load_config
from earshot_training.data.augment import AugmentConfig
from earshot_training.data.clip_waveforms import WaveformCache
from earshot_training.data.sampler import mix_seed
from earshot_training.data.unlabelled import UnlabelledDataConfig
from earshot_training.iterate.convergence import ConvergenceConfig
from earshot_training.model.predictor import PredictorConfig
from earshot_training.objectives.masked_tokens import MaskedTokensConfig
from earshot_training.objectives.tagging import TaggingConfig
from earshot_training.objectives.tokenizer_distillation import DistillationConfig
from earshot_training.probe.probe import ProbeConfig
from earshot_training.tokenizer.codebook import CodebookConfig
from earshot_training.tokenizer.random_projection import RandomProjectionConfig
from earshot_training.train.averaging import AveragingConfig
from earshot_training.train.finetune import FinetuneConfig
from earshot_training.train.loop import LoopConfig
from earshot_training.train.optimizer import OptimizerConfig
from earshot_training.train.pretrain import PretrainConfig
from earshot_training.train.tagging_data import DataConfig
from earshot_training.train.train_tokenizer import CodebookStartConfig, TrainTokenizerConfig

ENCODER_SEED, TOKENIZER_SEED, RESEEDED_SEED, TEACHER_SEED = 0, 1, 2, 3


@dataclass(frozen=True, kw_only=True)
class CorpusConfig:
    """Clips to learn from, without their labels."""

    manifest: Path
    """In a config file relative to that file."""
    held_out_folds: tuple[int, ...]
    """Folds of the manifest that nothing is learnt from: masked-token scores are taken there."""
    max_rows: int = 62
    """Longer clips are cropped, at a random row, to so many rows of 160 ms; 62 are 10 s."""
    roll: bool = True
    """Rotate clips that are not cropped by a random number of rows."""
    cache: WaveformCache = "int16"

    def __post_init__(self) -> None:
        """Refuse a run whose masked-token scores would be of clips it has learnt from."""
        if not self.held_out_folds:
            raise ConfigError("held_out_folds: expected at least one fold, got none")


@dataclass(frozen=True, kw_only=True)
class EncoderStageConfig:
    """Masked-token prediction: how every encoder is trained."""

    network: EncoderConfig
    loop: LoopConfig
    batch_size: int = 32
    predictor: PredictorConfig = field(default_factory=PredictorConfig)
    masked_tokens: MaskedTokensConfig = field(default_factory=MaskedTokensConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    averaging: AveragingConfig = field(default_factory=lambda: AveragingConfig(kind="none"))

    def __post_init__(self) -> None:
        """Refuse what tokens cannot train."""
        assert_pretrainable(self.network, "network")


@dataclass(frozen=True, kw_only=True)
class TokenizerStageConfig:
    """Distillation: how the tokenizers from the second on are trained."""

    network: EncoderConfig
    loop: LoopConfig
    batch_size: int = 32
    codebook: CodebookConfig = field(default_factory=CodebookConfig)
    codebook_start: CodebookStartConfig = field(default_factory=CodebookStartConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    def __post_init__(self) -> None:
        """Refuse a target that is not the encoder's: a supervised teacher has its own section."""
        assert_pretrainable(self.network, "network")
        target = self.distillation.target
        if target != "patch_vectors":
            raise ConfigError(f"distillation.target: expected 'patch_vectors', got {target!r}")


@dataclass(frozen=True, kw_only=True)
class SupervisedTeacherConfig:
    """Later tokenizers are taught by the fine-tuned encoder: the paper's "iter3+". Uses labels."""

    from_iteration: int
    """First iteration whose tokenizer learns a fine-tuned encoder's logits of the clip."""
    data: DataConfig
    """Labelled clips; its manifest is relative to the config file."""
    loop: LoopConfig
    tagging: TaggingConfig = field(default_factory=TaggingConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    averaging: AveragingConfig = field(default_factory=AveragingConfig)

    def __post_init__(self) -> None:
        """Refuse a teacher of the first tokenizer, which has none."""
        if self.from_iteration < 2:
            raise ConfigError(f"from_iteration: expected at least 2, got {self.from_iteration}")


@dataclass(frozen=True, kw_only=True)
class IterateConfig:
    """Everything that decides what a run comes to, and when it ends."""

    seed: int
    corpus: CorpusConfig
    probe_manifest: Path
    """Labelled clips with folds; labels serve the probes alone. Relative to the config file."""
    encoder: EncoderStageConfig
    tokenizer: TokenizerStageConfig
    max_iterations: int = 5
    """When the rule has not held until then, the run ends as not converged."""
    reseed_from_iteration: int = 2
    """From here on each tokenizer is trained a second time from another seed, for the agreement
    that a reseed leaves; the rule needs it from convergence.min_encoders on."""
    supervised_teacher: SupervisedTeacherConfig | None = None
    random_projection: RandomProjectionConfig = field(default_factory=RandomProjectionConfig)
    fbank: FbankStatistics = field(default_factory=FbankStatistics)
    probe: ProbeConfig = field(default_factory=ProbeConfig)
    convergence: ConvergenceConfig = field(default_factory=ConvergenceConfig)

    def __post_init__(self) -> None:
        """Refuse runs that could not come to a verdict."""
        least = self.convergence.min_encoders
        if self.max_iterations < least:
            raise ConfigError(
                f"max_iterations: expected at least convergence.min_encoders ({least}), "
                f"got {self.max_iterations}"
            )
        if not 2 <= self.reseed_from_iteration <= least:
            raise ConfigError(
                f"reseed_from_iteration: expected 2 to convergence.min_encoders ({least}), "
                f"got {self.reseed_from_iteration}"
            )

    def has_supervised_teacher(self, iteration: int) -> bool:
        """Whether that iteration's tokenizer is taught by a fine-tuned encoder."""
        teacher = self.supervised_teacher
        return teacher is not None and iteration >= teacher.from_iteration


def load_iterate_config(path: Path) -> IterateConfig:
    """Read a TOML file; its paths are taken relative to its own folder."""
    config = load_config(IterateConfig, path)
    return with_manifests(config, lambda manifest: path.parent / manifest)


def with_manifests(config: IterateConfig, move: Callable[[Path], Path]) -> IterateConfig:
    """Put other paths in the place of the config's manifests."""
    teacher = config.supervised_teacher
    if teacher is not None:
        data = replace(teacher.data, manifest=move(teacher.data.manifest))
        teacher = replace(teacher, data=data)
    return replace(
        config,
        corpus=replace(config.corpus, manifest=move(config.corpus.manifest)),
        probe_manifest=move(config.probe_manifest),
        supervised_teacher=teacher,
    )


def pretrain_config(config: IterateConfig, iteration: int) -> PretrainConfig:
    """Say how encoder `iteration` is trained. Every iteration has seeds of its own."""
    stage = config.encoder
    return PretrainConfig(
        seed=mix_seed(config.seed, iteration, ENCODER_SEED),
        encoder=stage.network,
        data=_data_config(config.corpus, stage.batch_size),
        loop=stage.loop,
        fbank=config.fbank,
        predictor=stage.predictor,
        masked_tokens=stage.masked_tokens,
        random_projection=config.random_projection,
        optimizer=stage.optimizer,
        averaging=stage.averaging,
    )


def tokenizer_config(
    config: IterateConfig, iteration: int, *, is_reseeded: bool
) -> TrainTokenizerConfig:
    """Say how tokenizer `iteration` is trained, or its twin from another seed.

    Tokenizers of neighbouring iterations share no seed either: with a start in common they would
    agree more than twins do, and the comparison of the two agreements would mean nothing.
    """
    stage = config.tokenizer
    distillation = stage.distillation
    if config.has_supervised_teacher(iteration):
        distillation = replace(distillation, target="clip_logits")
    return TrainTokenizerConfig(
        seed=mix_seed(config.seed, iteration, RESEEDED_SEED if is_reseeded else TOKENIZER_SEED),
        encoder=stage.network,
        data=_data_config(config.corpus, stage.batch_size),
        loop=stage.loop,
        codebook=stage.codebook,
        codebook_start=stage.codebook_start,
        distillation=distillation,
        optimizer=stage.optimizer,
    )


def teacher_config(config: IterateConfig, iteration: int, *, encoder: Path) -> FinetuneConfig:
    """Say how the encoder before iteration `iteration`, an artefact, is fine-tuned to teach it.

    Raises:
        ValueError: that iteration has no supervised teacher.

    """
    teacher = config.supervised_teacher
    if teacher is None or not config.has_supervised_teacher(iteration):
        raise ValueError(f"expected a supervised teacher in iteration {iteration}, got none")
    return FinetuneConfig(
        seed=mix_seed(config.seed, iteration, TEACHER_SEED),
        encoder=config.encoder.network,
        data=teacher.data,
        loop=teacher.loop,
        fbank=config.fbank,
        tagging=teacher.tagging,
        augment=teacher.augment,
        optimizer=teacher.optimizer,
        averaging=teacher.averaging,
        init=encoder,
    )


def _data_config(corpus: CorpusConfig, batch_size: int) -> UnlabelledDataConfig:
    return UnlabelledDataConfig(
        manifest=corpus.manifest,
        held_out_folds=corpus.held_out_folds,
        batch_size=batch_size,
        max_rows=corpus.max_rows,
        roll=corpus.roll,
        cache=corpus.cache,
    )
