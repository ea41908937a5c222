"""Steps of pre-training on a batch that lies ready, in turn with products of matrices."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from earshot_training.audio.fbank import num_rows
from earshot_training.data.sampler import SamplerPosition
from earshot_training.data.token_batches import TokenBatch
from earshot_training.data.unlabelled import create_token_batches, read_unlabelled_clips
from earshot_training.iterate.config import EncoderStageConfig
from earshot_training.iterate.cost import encoder_training_flop
from earshot_training.objectives.masked_tokens import MaskedTokensObjective
from earshot_training.tokenizer.codebook import CodebookConfig
from earshot_training.tokenizer.distilled import DistilledTokenizer, DistilledTokenizerConfig
from earshot_training.tokenizer.random_projection import RandomProjectionTokenizer
from earshot_training.tokenizer.tokenizer import Tokenizer
from earshot_training.train.loop import LoopSettings, TrainingLoop
from earshot_training.train.pretrain import PretrainConfig, create_pretrain_run

Tokens = Literal["stored", "random-projection", "distilled"]
"""Where the tokens of a step come from: they lie ready, or the step asks a tokenizer."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """A step between two measurements of the matrices."""

    step_flop_per_second: float
    matrix_flop_per_second: float
    """Mean of the rates before and after."""
    views_per_second: float
    """Clips times masks of each."""

    @property
    def share(self) -> float:
        """How much of the matrix rate the step reaches."""
        return self.step_flop_per_second / self.matrix_flop_per_second

    @property
    def views_per_flop(self) -> float:
        """Views for each operation that the machine could have done instead."""
        return self.views_per_second / self.matrix_flop_per_second


def seconds_spent(device: torch.device) -> float:
    """Processor time, which a busy machine spares; on cards the clock, once they are done."""
    if device.type != "cuda":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


class MatrixRate:
    """Rate of a square product of matrices in floating-point operations per second."""

    def __init__(self, device: torch.device, dtype: torch.dtype, *, seconds: float) -> None:
        self.size = 8192 if device.type == "cuda" else 2048
        self._device = device
        self._left, self._right = (
            torch.randn(self.size, self.size, device=device).to(dtype) for _ in range(2)
        )
        self._repeats = 1
        self._run()
        self._repeats = max(1, round(seconds / self._run()))

    def measure(self) -> float:
        """Multiply for about the seconds asked for."""
        return self._repeats * 2 * self.size**3 / self._run()

    def _run(self) -> float:
        started = seconds_spent(self._device)
        for _ in range(self._repeats):
            torch.mm(self._left, self._right)
        return seconds_spent(self._device) - started


class SameBatch:
    """A source whose every batch is one that lies on the device already."""

    position = SamplerPosition(epoch=0, batch=0)

    def __init__(self, batch: TokenBatch) -> None:
        self._batch = batch

    def restore(self, position: SamplerPosition) -> None:
        """Stay where it is."""

    def next_batch(self) -> TokenBatch:
        """Answer the batch."""
        return self._batch


class InterleavedLog:
    """As the log of the loop: measures the matrices after every step. The first only warms up."""

    def __init__(
        self, matrices: MatrixRate, *, masks: int, flop_per_clip: float, device: torch.device
    ) -> None:
        self.blocks: list[Block] = []
        self._matrices = matrices
        self._masks = masks
        self._flop_per_clip = flop_per_clip
        self._device = device
        self._rate_before = 0.0
        self._started = 0.0

    def step(self, record: Mapping[str, float]) -> None:
        """Close a block."""
        seconds = seconds_spent(self._device) - self._started
        rate = self._matrices.measure()
        if self._rate_before > 0:
            clips_per_second = record["clips"] / seconds
            self.blocks.append(
                Block(
                    step_flop_per_second=clips_per_second * self._flop_per_clip,
                    matrix_flop_per_second=(self._rate_before + rate) / 2,
                    views_per_second=clips_per_second * self._masks,
                )
            )
        self._rate_before = rate
        self._started = seconds_spent(self._device)

    def close(self) -> None:
        """Keep what was measured."""


def measure_steps(
    config: PretrainConfig,
    scratch: Path,
    *,
    tokens: Tokens,
    matrices: MatrixRate,
    device: torch.device,
) -> list[Block]:
    """Train for the steps of the config."""
    run = create_pretrain_run(
        config, checkpoint_path=scratch / "unused.pt", tokens=None, device=device, resume=False
    )
    loop = TrainingLoop(
        MaskedTokensObjective(
            run.objective.module,
            config=config.masked_tokens,
            tokenizer=create_tokenizer(config, tokens, device),
        ),
        SameBatch(ready_batch(config, is_tokenised=tokens == "stored", device=device)),
        LoopSettings(
            loop=config.loop,
            optimizer=config.optimizer,
            averaging=config.averaging,
            seed=config.seed,
            run_config={},
        ),
        checkpoint_path=scratch / "checkpoint.pt",
        device=device,
    )
    log = InterleavedLog(
        matrices,
        masks=config.masked_tokens.masks_per_clip,
        flop_per_clip=flop_of(config),
        device=device,
    )
    loop.run(log)
    return log.blocks


def create_tokenizer(
    config: PretrainConfig, tokens: Tokens, device: torch.device
) -> Tokenizer | None:
    """Make a tokenizer of random weights; a distilled one has an encoder of the same size."""
    if tokens == "stored":
        return None
    if tokens == "random-projection":
        return random_projection(config, device)
    codebook = CodebookConfig(codebook_size=config.random_projection.codebook_size)
    distilled = DistilledTokenizer(
        DistilledTokenizerConfig(encoder=config.encoder, codebook=codebook),
        statistics=config.fbank,
    )
    codes = torch.randn(codebook.codebook_size, codebook.codebook_dim)
    distilled.codebook.start(codes, seed=config.seed, rounds=1)
    return distilled.to(device).eval()


def random_projection(config: PretrainConfig, device: torch.device) -> RandomProjectionTokenizer:
    """Make the tokenizer of the first iteration."""
    tokenizer = RandomProjectionTokenizer(config.random_projection, statistics=config.fbank)
    return tokenizer.to(device)


def ready_batch(config: PretrainConfig, *, is_tokenised: bool, device: torch.device) -> TokenBatch:
    """Read a batch; with tokens, as a token store would have them."""
    clips = read_unlabelled_clips(config.data)
    batch = create_token_batches(config.data, clips, seed=config.seed).next_batch().to(device)
    if not is_tokenised:
        return batch
    tokenizer = random_projection(config, device)
    fbank = tokenizer.fbank(batch.waveforms)
    return batch._replace(tokens=tokenizer.tokenize_fbank(fbank, num_rows(batch.num_samples)))


def flop_of(config: PretrainConfig) -> float:
    """Work of one clip in one step, under all of its masks."""
    stage = EncoderStageConfig(
        network=config.encoder,
        loop=config.loop,
        predictor=config.predictor,
        masked_tokens=config.masked_tokens,
    )
    patches = config.data.max_rows * config.encoder.bands
    return encoder_training_flop(stage, patches, config.random_projection.codebook_size)


def with_masks(config: PretrainConfig, masks: int) -> PretrainConfig:
    """Mask each clip so often, with as many views in a step as before."""
    return replace(
        config,
        masked_tokens=replace(config.masked_tokens, masks_per_clip=masks),
        data=replace(config.data, batch_size=config.data.batch_size // masks),
    )
