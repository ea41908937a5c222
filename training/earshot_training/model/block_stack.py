"""Transformer blocks after the encoder: of the token predictor and of the tokenizer's estimator."""

from torch import Tensor, nn

from earshot_training.config import EncoderConfig
from earshot_training.model.attention import RelativePositionBias
from earshot_training.model.encoder import Block, initialise_blocks


class BlockStack(nn.Module):
    """Blocks of the encoder's kind with a bucket table of their own and a LayerNorm at the end.

    Without convolutional positions: what comes in has been through those of the encoder.
    """

    def __init__(self, config: EncoderConfig) -> None:
        """Build `config.layers` blocks of the config's shape."""
        super().__init__()
        self.relative_bias = RelativePositionBias(config)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.dim)
        initialise_blocks(self, layers=config.layers)

    def forward(self, x: Tensor, patch_padding: Tensor) -> Tensor:
        """Transform a whole grid: (B, N, D), (B, N) True = padding, not audio -> (B, N, D)."""
        position_bias = self.relative_bias(x.shape[1])
        for layer in self.layers:
            x = layer(x, position_bias, patch_padding)
        normed: Tensor = self.norm(x)
        return normed
