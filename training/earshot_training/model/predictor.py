"""The token predictor of masked pre-training: kept patches -> token logits of all patches."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from earshot_training.config import ConfigError, EncoderConfig
from earshot_training.model.block_stack import BlockStack
from earshot_training.model.encoder import INIT_STD


@dataclass(frozen=True, kw_only=True)
class PredictorConfig:
    """Depth of the token predictor and what it sees at hidden patches."""

    layers: int = 3
    hidden_vectors: Literal["learned", "zeros"] = "learned"
    """One learned vector (ESPnet), or zeros (the paper's formula)."""

    def __post_init__(self) -> None:
        """Refuse a depth that no predictor can have."""
        if self.layers < 1:
            raise ConfigError(f"layers: expected at least 1, got {self.layers}")


class TokenPredictor(nn.Module):
    """Blocks of the encoder's shape over the full patch grid, then token logits.

    The encoder's vectors stand at the places of their patches, all other places hold one vector.
    """

    def __init__(
        self, config: PredictorConfig, *, encoder: EncoderConfig, codebook_size: int
    ) -> None:
        super().__init__()
        self.blocks = BlockStack(replace(encoder, layers=config.layers, layer_drop=0.0))
        self.to_tokens = nn.Linear(encoder.dim, codebook_size)
        nn.init.normal_(self.to_tokens.weight, std=INIT_STD)
        nn.init.zeros_(self.to_tokens.bias)
        self.hidden_vector: Tensor | None = None
        if config.hidden_vectors == "learned":
            self.hidden_vector = nn.Parameter(torch.randn(encoder.dim) * INIT_STD)

    def forward(
        self, kept_vectors: Tensor, kept: Tensor, *, patch_padding: Tensor, asked: Tensor
    ) -> Tensor:
        """Predict on the whole grid, answer where asked: -> (A, codebook_size) token logits.

        Args:
            kept_vectors: (B, K, D) of the encoder.
            kept: (B, K) int64, their places on the grid.
            patch_padding: (B, N) True = padding, not audio.
            asked: (A,) int64, places in the grid of the batch flattened to B * N.

        """
        grid = self._grid(kept_vectors, patch_padding.shape[1])
        grid = grid.scatter(1, kept.unsqueeze(-1).expand_as(kept_vectors), kept_vectors)
        vectors = self.blocks(grid, patch_padding)
        logits: Tensor = self.to_tokens(vectors.flatten(0, 1)[asked])
        return logits

    def _grid(self, kept_vectors: Tensor, num_patches: int) -> Tensor:
        clips, _, dim = kept_vectors.shape
        if self.hidden_vector is None:
            return kept_vectors.new_zeros(clips, num_patches, dim)
        return self.hidden_vector.to(kept_vectors.dtype).expand(clips, num_patches, dim)
