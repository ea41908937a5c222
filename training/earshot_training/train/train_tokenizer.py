"""A tokenizer's training put together: teacher -> tokenizer, codebook start, objective, loop."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from earshot_training.audio.fbank import num_rows
from earshot_training.config import ConfigError, EncoderConfig, assert_pretrainable, to_dict
from earshot_training.config_file import load_config
from earshot_training.data.batch_feed import BatchFeed
from earshot_training.data.manifest import Clip, clip_list_sha256
from earshot_training.data.readable import say_faults
from earshot_training.data.sampler import mix_seed
from earshot_training.data.unlabelled import (
    UnlabelledClips,
    UnlabelledDataConfig,
    create_token_batches,
    read_unlabelled_clips,
)
from earshot_training.errors import UserError
from earshot_training.model.artefact import Artefact, load_artefact
from earshot_training.model.fingerprint import network_sha256
from earshot_training.model.initial_weights import load_encoder
from earshot_training.objectives.tokenizer_distillation import (
    DistillationConfig,
    Teacher,
    TokenizerDistillationObjective,
    TokenizerTrainer,
    create_trainer,
)
from earshot_training.processes import is_first_process, num_processes, process_rank
from earshot_training.tokenizer.artefact import TokenizerArtefact, save_tokenizer
from earshot_training.tokenizer.codebook import CodebookConfig
from earshot_training.tokenizer.distilled import DistilledTokenizer, DistilledTokenizerConfig
from earshot_training.train.averaging import AveragingConfig
from earshot_training.train.loop import LoopConfig, LoopSettings, TrainingLoop
from earshot_training.train.optimizer import OptimizerConfig
from earshot_training.train.run_folder import (
    ARTEFACT_FOLDER,
    CHECKPOINT_FILE,
    RunLimits,
    assert_startable,
    train_in_folder,
    training_record,
    write_config,
)


@dataclass(frozen=True, kw_only=True)
class CodebookStartConfig:
    """How the code vectors find their first places."""

    vectors: int = 65_536
    """At least so many patches are clustered, those of all processes together."""
    kmeans_rounds: int = 10

    def __post_init__(self) -> None:
        """Refuse a start from nothing."""
        for name in ("vectors", "kmeans_rounds"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected at least 1, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class TrainTokenizerConfig:
    """Everything that decides what a tokenizer comes to, its teacher apart."""

    seed: int
    encoder: EncoderConfig
    data: UnlabelledDataConfig
    loop: LoopConfig
    codebook: CodebookConfig = field(default_factory=CodebookConfig)
    codebook_start: CodebookStartConfig = field(default_factory=CodebookStartConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    init: Path | None = None
    """Artefact that the tokenizer's own encoder starts from; none: from scratch. In a config file
    relative to that file."""

    def __post_init__(self) -> None:
        """Refuse patches that the service's tokens do not name."""
        assert_pretrainable(self.encoder, "encoder")


@dataclass(frozen=True, kw_only=True)
class TokenizerRun:
    """A run that is ready to start or to be resumed."""

    trainer: TokenizerTrainer
    objective: TokenizerDistillationObjective
    loop: TrainingLoop[Any]
    clips: UnlabelledClips
    run_config: dict[str, Any]

    @property
    def tokenizer(self) -> DistilledTokenizer:
        """What is trained and kept."""
        return self.trainer.tokenizer

    @property
    def train_clips(self) -> tuple[Clip, ...]:
        """Clips that are learnt from."""
        return self.clips.of(self.clips.train)


def load_train_tokenizer_config(path: Path) -> TrainTokenizerConfig:
    """Read a TOML file; its paths are taken relative to its own folder."""
    config = load_config(TrainTokenizerConfig, path)
    data = replace(config.data, manifest=path.parent / config.data.manifest)
    init = None if config.init is None else path.parent / config.init
    return replace(config, data=data, init=init)


def train_tokenizer(
    config: TrainTokenizerConfig,
    *,
    teacher: Path,
    out: Path,
    device: torch.device,
    resume: bool = False,
    loader_workers: int = 0,
    limits: RunLimits | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> TokenizerRun:
    """Train a tokenizer; afterwards the run's folder holds a checkpoint and its artefact.

    The weights kept are the last ones, never an average: the codebook follows those.

    Args:
        config: of the run.
        teacher: artefact of an encoder.
        out: the run's folder.
        device: to train on.
        resume: go on from the folder's checkpoint, as if the run had not stopped.
        loader_workers: threads that read clips ahead.
        limits: what stops this call early.
        say: where console lines go.

    Raises:
        UserError: a run lies in the folder already, or none to resume; a teacher that cannot teach.

    """
    assert_startable(out, resume=resume)
    run = create_tokenizer_run(
        config,
        checkpoint_path=out / CHECKPOINT_FILE,
        teacher=teacher,
        device=device,
        resume=resume,
        loader_workers=loader_workers,
    )
    write_config(out, to_dict(config))
    say_faults(run.clips.faults, say)
    num_parameters = sum(parameter.numel() for parameter in run.tokenizer.parameters())
    say(
        f"{len(run.clips.train)} clips, tokenizer of {num_parameters / 1e6:.2f} M parameters, "
        f"steps {run.loop.progress.step} to {config.loop.steps}"
    )
    train_in_folder(
        run.loop,
        out,
        print_every_steps=config.loop.print_every_steps,
        limits=limits or RunLimits(),
        say=say,
    )
    run.trainer.eval()
    if is_first_process():
        _save(run, out / ARTEFACT_FOLDER)
    return run


def _save(run: TokenizerRun, folder: Path) -> None:
    record = training_record("tokenizer_distillation", run.loop, run.train_clips, run.run_config)
    save_tokenizer(
        folder, TokenizerArtefact(tokenizer=run.tokenizer, training=record), overwrite=True
    )


def create_tokenizer_run(
    config: TrainTokenizerConfig,
    *,
    checkpoint_path: Path,
    teacher: Path,
    device: torch.device,
    resume: bool,
    loader_workers: int = 0,
) -> TokenizerRun:
    """Read manifest and teacher, build and start the tokenizer; or restore the checkpoint."""
    clips = read_unlabelled_clips(config.data)
    teacher_artefact = load_artefact(teacher)
    objective = _create_objective(config, teacher_artefact, load_init=not resume, device=device)
    run_config = to_dict(replace(config, data=replace(config.data, manifest=Path())))
    run_config["clips_sha256"] = clip_list_sha256(clips.of(clips.train))
    run_config["teacher_sha256"] = network_sha256(
        teacher_artefact.model, {"encoder": to_dict(teacher_artefact.model.config)}
    )
    if not resume:
        start_codebook(objective.module.tokenizer, config, clips, device=device)
    loop = TrainingLoop(
        objective,
        BatchFeed(
            create_token_batches(config.data, clips, seed=config.seed),
            workers=loader_workers,
            device=device,
        ),
        LoopSettings(
            loop=config.loop,
            optimizer=config.optimizer,
            averaging=AveragingConfig(kind="none"),
            seed=config.seed,
            run_config=run_config,
        ),
        checkpoint_path=checkpoint_path,
        device=device,
    )
    if resume:
        loop.restore()
    return TokenizerRun(
        trainer=objective.module,
        objective=objective,
        loop=loop,
        clips=clips,
        run_config=run_config,
    )


@torch.no_grad()
def start_codebook(
    tokenizer: DistilledTokenizer,
    config: TrainTokenizerConfig,
    clips: UnlabelledClips,
    *,
    device: torch.device,
) -> None:
    """Run k-means over patches of as many batches as give the vectors asked for."""
    wanted = -(-config.codebook_start.vectors // num_processes())
    seed = mix_seed(config.seed, 1, process_rank())
    batches = create_token_batches(config.data, clips, seed=seed)
    tokenizer.eval()
    vectors: list[Tensor] = []
    while sum(len(part) for part in vectors) < wanted:
        batch = batches.next_batch().to(device)
        found, patch_padding = tokenizer.patch_vectors(
            tokenizer.fbank(batch.waveforms), num_rows(batch.num_samples)
        )
        vectors.append(found[~patch_padding])
    tokenizer.codebook.start(
        torch.cat(vectors), seed=config.seed, rounds=config.codebook_start.kmeans_rounds
    )


def _create_objective(
    config: TrainTokenizerConfig, teacher: Artefact, *, load_init: bool, device: torch.device
) -> TokenizerDistillationObjective:
    torch.manual_seed(config.seed)
    source = create_teacher(teacher, config)
    shape = DistilledTokenizerConfig(encoder=config.encoder, codebook=config.codebook)
    trainer = create_trainer(shape, config.distillation, source)
    if config.init is not None and load_init:
        load_encoder(trainer.tokenizer.encoder, config.init)
    source.model.to(device)
    return TokenizerDistillationObjective(
        trainer.to(device), teacher=source, config=config.distillation
    )


def create_teacher(artefact: Artefact, config: TrainTokenizerConfig) -> Teacher:
    """Freeze an artefact's model; of clip logits only those of trained labels are taught.

    Raises:
        UserError: patches of another size, or clip logits asked of a teacher without them.

    """
    model, target = artefact.model, config.distillation.target
    if model.config.patch_size != config.encoder.patch_size:
        raise UserError(
            f"expected a teacher of patches of {config.encoder.patch_size}, "
            f"got {model.config.patch_size}"
        )
    if target == "patch_vectors":
        return Teacher(model, target=target)
    trained = [index for index, label in enumerate(artefact.labels or ()) if label.trained]
    if not trained:
        raise UserError("expected a teacher with trained labels for clip_logits, got one without")
    return Teacher(model, target=target, label_indices=torch.tensor(trained))
