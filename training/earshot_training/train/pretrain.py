"""A pre-training run put together: config -> clips, tokens, encoder, objective and loop."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from earshot_training.audio.fbank import PATCH_FRAMES
from earshot_training.config import (
    ConfigError,
    EncoderConfig,
    FbankStatistics,
    assert_pretrainable,
    to_dict,
)
from earshot_training.config_file import load_config
from earshot_training.data.batch_feed import BatchFeed
from earshot_training.data.manifest import clip_list_sha256
from earshot_training.data.readable import say_faults
from earshot_training.data.token_store import TokenStore
from earshot_training.data.unlabelled import (
    UnlabelledClips,
    UnlabelledDataConfig,
    create_token_batches,
    open_tokens,
    read_unlabelled_clips,
)
from earshot_training.model.artefact import Artefact, save_artefact
from earshot_training.model.beats import Beats
from earshot_training.model.initial_weights import load_encoder
from earshot_training.model.masked_tokens import MaskedTokenModel
from earshot_training.model.predictor import PredictorConfig
from earshot_training.objectives.masked_tokens import MaskedTokensConfig, MaskedTokensObjective
from earshot_training.processes import is_first_process
from earshot_training.tokenizer.random_projection import (
    RandomProjectionConfig,
    RandomProjectionTokenizer,
)
from earshot_training.tokenizer.tokenizer import Tokenizer
from earshot_training.train.averaging import AveragingConfig
from earshot_training.train.held_out import held_out_batches, score_masked_tokens
from earshot_training.train.loop import LoopConfig, LoopSettings, TrainingLoop
from earshot_training.train.optimizer import OptimizerConfig
from earshot_training.train.run_folder import (
    ARTEFACT_FOLDER,
    CHECKPOINT_FILE,
    RunLimits,
    assert_startable,
    clips_record,
    train_in_folder,
    training_record,
    write_config,
)


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """Everything that decides what a pre-training run comes to, its tokens apart."""

    seed: int
    encoder: EncoderConfig
    data: UnlabelledDataConfig
    loop: LoopConfig
    fbank: FbankStatistics = field(default_factory=FbankStatistics)
    predictor: PredictorConfig = field(default_factory=PredictorConfig)
    masked_tokens: MaskedTokensConfig = field(default_factory=MaskedTokensConfig)
    random_projection: RandomProjectionConfig = field(default_factory=RandomProjectionConfig)
    """Names the patches where no stored tokens are given."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    averaging: AveragingConfig = field(default_factory=lambda: AveragingConfig(kind="none"))
    init: Path | None = None
    """Artefact to start from; none: from scratch. In a config file relative to that file."""

    def __post_init__(self) -> None:
        """Refuse patches that tokens do not name."""
        assert_pretrainable(self.encoder, "encoder")
        if (size := self.random_projection.patch_size) != PATCH_FRAMES:
            raise ConfigError(f"random_projection.patch_size: expected {PATCH_FRAMES}, got {size}")


@dataclass(frozen=True, kw_only=True)
class PretrainRun:
    """A run that is ready to start or to be resumed."""

    model: MaskedTokenModel
    """In training; the loop holds what is averaged."""
    device: torch.device
    objective: MaskedTokensObjective
    loop: TrainingLoop[Any]
    clips: UnlabelledClips
    store: TokenStore | None
    run_config: dict[str, Any]

    def averaged_model(self) -> MaskedTokenModel:
        """Copy of the model with averaged weights, on the CPU and in evaluation mode."""
        model = deepcopy(self.model)
        model.load_state_dict(self.loop.averaged_state())
        return model.cpu().eval()


def load_pretrain_config(path: Path) -> PretrainConfig:
    """Read a TOML file; its paths are taken relative to its own folder."""
    config = load_config(PretrainConfig, path)
    data = replace(config.data, manifest=path.parent / config.data.manifest)
    init = None if config.init is None else path.parent / config.init
    return replace(config, data=data, init=init)


def pretrain(
    config: PretrainConfig,
    *,
    out: Path,
    tokens: Path | None,
    device: torch.device,
    resume: bool = False,
    loader_workers: int = 0,
    limits: RunLimits | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> PretrainRun:
    """Train an encoder; afterwards the run's folder holds a checkpoint and an encoder artefact.

    Args:
        config: of the run.
        out: the run's folder.
        tokens: token store of the whole manifest; None: the config's random projection names
            the patches of each batch.
        device: to train on.
        resume: go on from the folder's checkpoint, as if the run had not stopped.
        loader_workers: threads that read clips ahead.
        limits: what stops this call early.
        say: where console lines go.

    Raises:
        UserError: a run lies in the folder already, or none to resume; tokens that do not fit.

    """
    assert_startable(out, resume=resume)
    run = create_pretrain_run(
        config,
        checkpoint_path=out / CHECKPOINT_FILE,
        tokens=tokens,
        device=device,
        resume=resume,
        loader_workers=loader_workers,
    )
    write_config(out, to_dict(config))
    say_faults(run.clips.faults, say)
    num_parameters = sum(parameter.numel() for parameter in run.model.encoder.parameters())
    say(
        f"{len(run.clips.train)} clips, encoder of {num_parameters / 1e6:.2f} M parameters, "
        f"steps {run.loop.progress.step} to {config.loop.steps}"
    )
    train_in_folder(
        run.loop,
        out,
        print_every_steps=config.loop.print_every_steps,
        limits=limits or RunLimits(),
        say=say,
    )
    if is_first_process():
        save_artefact(out / ARTEFACT_FOLDER, create_encoder_artefact(run, config), overwrite=True)
    return run


def create_pretrain_run(
    config: PretrainConfig,
    *,
    checkpoint_path: Path,
    tokens: Path | None,
    device: torch.device,
    resume: bool,
    loader_workers: int = 0,
) -> PretrainRun:
    """Read the manifest, build model and loop; with `resume`, restore the checkpoint."""
    clips = read_unlabelled_clips(config.data)
    tokens_from = _open_token_source(config, tokens, clips, device)
    model = _create_model(config, tokens_from.codebook_size, load_init=not resume).to(device)
    objective = MaskedTokensObjective(
        model, config=config.masked_tokens, tokenizer=tokens_from.tokenizer
    )
    run_config = to_dict(replace(config, data=replace(config.data, manifest=Path())))
    run_config["clips_sha256"] = clip_list_sha256(clips.of(clips.train))
    run_config["tokenizer_sha256"] = tokens_from.sha256
    loop = TrainingLoop(
        objective,
        BatchFeed(
            create_token_batches(config.data, clips, seed=config.seed, store=tokens_from.store),
            workers=loader_workers,
            device=device,
        ),
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
    return PretrainRun(
        model=model,
        device=device,
        objective=objective,
        loop=loop,
        clips=clips,
        store=tokens_from.store,
        run_config=run_config,
    )


class _TokenSource(NamedTuple):
    """Exactly one of store and tokenizer."""

    store: TokenStore | None
    tokenizer: Tokenizer | None
    codebook_size: int
    sha256: str


def _open_token_source(
    config: PretrainConfig, tokens: Path | None, clips: UnlabelledClips, device: torch.device
) -> _TokenSource:
    if tokens is not None:
        store = open_tokens(tokens, clips, statistics=config.fbank)
        header = store.header
        return _TokenSource(store, None, header.codebook_size, header.tokenizer_sha256)
    tokenizer = RandomProjectionTokenizer(config.random_projection, statistics=config.fbank)
    tokenizer.to(device)
    return _TokenSource(None, tokenizer, tokenizer.codebook_size, tokenizer.sha256)


def _create_model(
    config: PretrainConfig, codebook_size: int, *, load_init: bool
) -> MaskedTokenModel:
    torch.manual_seed(config.seed)
    encoder = Beats(config.encoder, statistics=config.fbank)
    model = MaskedTokenModel(encoder, predictor=config.predictor, codebook_size=codebook_size)
    if config.init is not None and load_init:
        load_encoder(encoder, config.init)
    return model


def create_encoder_artefact(run: PretrainRun, config: PretrainConfig) -> Artefact:
    """Make the artefact of the averaged encoder, scored on the clips that were held out."""
    model = run.averaged_model()
    clips = run.clips
    evaluation = {}
    if clips.held_out:
        scores = score_masked_tokens(
            run.objective.with_model(model.to(run.device)),
            held_out_batches(config.data, clips, store=run.store),
            device=run.device,
        )
        evaluation["masked_tokens"] = {
            **scores._asdict(),
            "data": clips_record(clips.of(clips.held_out)),
        }
    return Artefact(
        model=model.encoder.cpu(),
        kind="pretrained",
        training=training_record("masked_tokens", run.loop, clips.of(clips.train), run.run_config),
        evaluation=evaluation,
    )
