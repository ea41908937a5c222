"""The codebook of the self-distilled tokenizer: unit vectors that follow their members.

The rule is that of the released code (microsoft/unilm `beats/quantizer.py`), restated:
nearest unit code vector, straight-through gradient, and in training a moving average of each
code vector towards the mean of its members, not weighted by how many they are.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from earshot_training.config import ConfigError
from earshot_training.processes import copy_from_first, gather_rows, sum_over_processes
from earshot_training.tokenizer.code_usage import code_usage, count_codes
from earshot_training.tokenizer.kmeans import spherical_kmeans


@dataclass(frozen=True, kw_only=True)
class CodebookConfig:
    """Size and movement of a codebook."""

    codebook_size: int = 1024
    codebook_dim: int = 256
    decay: float = 0.99
    """Share of a code vector that stays at each training step."""
    restart_usage: float = 0.0
    """Codes used by less than this share of the patches start again at a patch; 0: never."""

    def __post_init__(self) -> None:
        """Refuse sizes and rates that no codebook can have."""
        for name in ("codebook_size", "codebook_dim"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected at least 1, got {getattr(self, name)}")
        for name in ("decay", "restart_usage"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected a share in [0, 1), got {getattr(self, name)}")


class CodebookOutput(NamedTuple):
    """What the codebook makes of M vectors."""

    token_ids: Tensor  # (M,) int64
    quantized: Tensor  # (M, D) unit code vectors, gradient passed straight to the vectors
    commitment_loss: Tensor  # scalar: mean over the vectors of the summed squared distance
    metrics: dict[str, Tensor]


class Codebook(nn.Module):
    """Nearest of K unit code vectors, kept up to date by moving averages.

    Buffers, float32 whatever the precision around them, never parameters: an optimizer that keeps
    master copies of its parameters would overwrite them.
        code_vectors (K, D): unit length.
        code_counts (K,): moving average of members per step; a statistic, it moves no vector.
        is_started (): 1 once `start` has run.
    """

    code_vectors: Tensor
    code_counts: Tensor
    is_started: Tensor

    def __init__(self, config: CodebookConfig) -> None:
        super().__init__()
        self.config = config
        shape = (config.codebook_size, config.codebook_dim)
        self.register_buffer("code_vectors", torch.zeros(shape))
        self.register_buffer("code_counts", torch.zeros(config.codebook_size))
        self.register_buffer("is_started", torch.zeros(()))

    @torch.no_grad()
    def start(self, vectors: Tensor, *, seed: int, rounds: int = 10) -> None:
        """Place the code vectors by k-means: (M, D) of this process -> the same codes on all.

        The vectors of all processes are gathered and clustered; the result of process 0 counts.

        Raises:
            ValueError: fewer vectors than codes.

        """
        gathered = gather_rows(functional.normalize(vectors.float(), dim=-1))
        size = self.config.codebook_size
        if len(gathered) < size:
            raise ValueError(f"expected at least {size} vectors to start, got {len(gathered)}")
        centres, counts = spherical_kmeans(gathered, size, seed=seed, rounds=rounds)
        self.code_vectors.copy_(copy_from_first(centres))
        self.code_counts.copy_(copy_from_first(counts))
        self.is_started.fill_(1)

    def forward(self, vectors: Tensor) -> CodebookOutput:
        """(M, D) of valid patches, any length -> their nearest codes; in training the codes move.

        Output and loss use the codes as they were before the batch; with accumulated gradients the
        codes move at every batch of a step. Evaluation mode changes no state.

        Raises:
            RuntimeError: the codebook was neither started nor loaded.

        """
        if not self.is_started:
            raise RuntimeError("expected a started codebook: call start() or load one first")
        with torch.autocast(vectors.device.type, enabled=False):
            unit = functional.normalize(vectors.float(), dim=-1)
            token_ids = self.nearest(unit)
            codes = self.code_vectors[token_ids]
            commitment_loss = (unit - codes).square().sum(dim=-1).mean()
            counts = sum_over_processes(count_codes(token_ids, self.config.codebook_size))
            if self.training:
                self._move(unit.detach(), token_ids, counts)
        quantized = unit + (codes - unit).detach()
        usage = code_usage(counts)
        metrics = {"codebook/usage": usage.usage, "codebook/perplexity": usage.perplexity}
        return CodebookOutput(token_ids, quantized, commitment_loss, metrics)

    @torch.no_grad()
    def nearest(self, unit_vectors: Tensor) -> Tensor:
        """(..., D) unit vectors -> (...) int64: among unit codes the nearest has the largest dot.

        Computed as |c|^2 - 2 v.c, because imported codes are of unit length only to rounding.
        """
        code_norms = self.code_vectors.square().sum(dim=-1)
        return (code_norms - 2 * unit_vectors.float() @ self.code_vectors.T).argmin(dim=-1)

    @torch.no_grad()
    def _move(self, unit: Tensor, token_ids: Tensor, counts: Tensor) -> None:
        decay = self.config.decay
        sums = torch.zeros_like(self.code_vectors).index_add_(0, token_ids, unit)
        means = sum_over_processes(sums) / counts.clamp(min=1).unsqueeze(1)
        has_members = (counts > 0).unsqueeze(1)
        towards = torch.where(has_members, functional.normalize(means, dim=-1), self.code_vectors)
        moved = decay * self.code_vectors + (1 - decay) * towards
        self.code_vectors.copy_(functional.normalize(moved, dim=-1))
        self.code_counts.mul_(decay).add_(counts, alpha=1 - decay)
        if self.config.restart_usage > 0:
            self._restart_dead_codes(unit)

    def _restart_dead_codes(self, unit: Tensor) -> None:
        """Put codes that nothing uses on random patches of process 0, with an average count."""
        is_dead = self.code_counts < self.config.restart_usage * self.code_counts.sum()
        chosen = torch.randint(len(unit), (self.config.codebook_size,))
        candidates = copy_from_first(unit[chosen.to(unit.device)])
        self.code_vectors.copy_(torch.where(is_dead.unsqueeze(1), candidates, self.code_vectors))
        self.code_counts.copy_(torch.where(is_dead, self.code_counts.mean(), self.code_counts))
