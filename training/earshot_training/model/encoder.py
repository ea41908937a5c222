"""The transformer over patches: convolutional positions and DeepNorm blocks."""

import random
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from earshot_training.config import EncoderConfig
from earshot_training.model.attention import GatedAttention, RelativePositionBias
from earshot_training.model.fourier_conv import fourier_conv

INIT_STD = 0.02

Positions = Literal["true", "compact"]


class EncoderOutput(NamedTuple):
    """What the encoder makes of a sequence."""

    patch_vectors: Tensor  # (B, K, D)
    layer_vectors: list[Tensor]  # one (B, K, D) per layer when asked for, else empty


class ConvPositions(nn.Module):
    """Convolutional positions: output t sees inputs t - k/2 .. t + k/2 - 1.

    Source: wav2vec 2.0. The released code keeps this weight as a norm per kernel position and a
    direction; here it is one plain weight, the product of the two.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        kernel = config.conv_pos_kernel
        self.conv = nn.Conv1d(
            config.dim, config.dim, kernel, padding=kernel // 2, groups=config.conv_pos_groups
        )

    def forward(self, x: Tensor) -> Tensor:
        """Positions of a sequence that is zero at its padding: (B, N, D) -> (B, N, D)."""
        return nn.functional.gelu(self._convolve(x.transpose(1, 2))).transpose(1, 2)

    def _convolve(self, x: Tensor) -> Tensor:
        conv = self.conv
        is_even = conv.weight.shape[2] % 2 == 0
        if x.device.type == "cpu" and torch.is_grad_enabled() and is_even:
            return fourier_conv(x, conv.weight, cast(Tensor, conv.bias), groups=conv.groups)
        # An even kernel gives one output too many, at the end.
        positions: Tensor = conv(x)[..., : x.shape[2]]
        return positions


class Block(nn.Module):
    """Post-norm transformer block with DeepNorm's residual scale (2 * layers) ** (1 / 4)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.residual_scale = (2 * config.layers) ** 0.25
        self.attention = GatedAttention(config)
        self.attention_norm = nn.LayerNorm(config.dim)
        self.expand = nn.Linear(config.dim, config.ffn_dim)
        self.contract = nn.Linear(config.ffn_dim, config.dim)
        self.final_norm = nn.LayerNorm(config.dim)
        self.dropout = nn.Dropout(config.dropout)
        self.activation_dropout = nn.Dropout(config.activation_dropout)

    def forward(self, x: Tensor, position_bias: Tensor, patch_padding: Tensor) -> Tensor:
        """Transform: (B, N, D), (B | 1, heads, N, N), (B, N) True = padding -> (B, N, D)."""
        attended = self.dropout(self.attention(x, position_bias, patch_padding))
        x = self.attention_norm(self.residual_scale * x + attended)
        hidden = self.activation_dropout(nn.functional.gelu(self.expand(x)))
        output: Tensor = self.final_norm(
            self.residual_scale * x + self.dropout(self.contract(hidden))
        )
        return output


class Encoder(nn.Module):
    """Patch embeddings to patch vectors.

    Layer drop skips whole blocks while training. Its draws come from a generator of its own; call
    `seed_layer_drop` before each batch. A skipped block gets no gradient from that batch (with
    DDP: `find_unused_parameters`, for every process draws for its own batch).
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.layer_drop = config.layer_drop
        self.position_conv = ConvPositions(config)
        self.norm = nn.LayerNorm(config.dim)
        self.dropout = nn.Dropout(config.dropout)
        self.relative_bias = RelativePositionBias(config)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.layers))
        self._layer_drop_random = random.Random(0)
        initialise(self, config)

    def seed_layer_drop(self, seed: int) -> None:
        """Start the layer-drop draws anew."""
        self._layer_drop_random.seed(seed)

    def forward(
        self,
        x: Tensor,
        patch_padding: Tensor,
        *,
        kept: Tensor | None = None,
        num_patches: int | None = None,
        return_layers: bool = False,
    ) -> EncoderOutput:
        """Encode a sequence, or the kept part of one at its true positions.

        `x` (B, K, D) are patch embeddings and `patch_padding` (B, K) is True where they are
        padding, not audio. `kept` (B, K) int64 is the place of each in a whole sequence of
        `num_patches`; without it, `x` is whole.
        """
        x = x.masked_fill(patch_padding.unsqueeze(-1), 0.0)
        if kept is None:
            x = x + self.position_conv(x)
            position_bias = self.relative_bias(x.shape[1])
        else:
            x = x + self._positions_at(x, kept, num_patches)
            position_bias = self.relative_bias.at(kept)
        x = self.dropout(self.norm(x))
        if torch.is_autocast_enabled(x.device.type):
            position_bias = position_bias.to(torch.bfloat16, memory_format=torch.contiguous_format)
        layer_vectors: list[Tensor] = []
        for layer in self.layers:
            if not self._drops_layer():
                x = layer(x, position_bias, patch_padding)
            if return_layers:
                layer_vectors.append(x)
        return EncoderOutput(x, layer_vectors)

    def _positions_at(self, x: Tensor, kept: Tensor, num_patches: int | None) -> Tensor:
        if num_patches is None:
            raise ValueError("Expected num_patches with kept, got None")
        index = kept.unsqueeze(-1).expand_as(x)
        whole = x.new_zeros(x.shape[0], num_patches, x.shape[2]).scatter(1, index, x)
        positions: Tensor = self.position_conv(whole).gather(1, index)
        return positions

    def _drops_layer(self) -> bool:
        return (
            self.training
            and self.layer_drop > 0.0
            and self._layer_drop_random.random() < self.layer_drop
        )


@torch.no_grad()
def initialise(encoder: Encoder, config: EncoderConfig) -> None:
    """Draw the encoder's weights as the released code does: its blocks, then its convolution."""
    initialise_blocks(encoder, layers=config.layers)
    conv = encoder.position_conv.conv
    nn.init.normal_(conv.weight, std=(4.0 / (config.conv_pos_kernel * config.dim)) ** 0.5)
    nn.init.zeros_(cast(Tensor, conv.bias))


@torch.no_grad()
def initialise_blocks(root: nn.Module, *, layers: int) -> None:
    """Draw the weights of `layers` blocks and of all else in `root`.

    Linear layers and the bucket table N(0, 0.02); then query and key Xavier-normal, and value, out
    and the two feed-forward layers Xavier-normal with DeepNorm's gain (8 * layers) ** (-1 / 4).
    """
    gain = (8 * layers) ** -0.25
    for module in root.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=INIT_STD)
            nn.init.zeros_(module.bias)
    for module in root.modules():
        if isinstance(module, RelativePositionBias):
            nn.init.normal_(module.table.weight, std=INIT_STD)
    for module in root.modules():
        if isinstance(module, GatedAttention):
            nn.init.xavier_normal_(module.query.weight)
            nn.init.xavier_normal_(module.key.weight)
            nn.init.xavier_normal_(module.value.weight, gain=gain)
            nn.init.xavier_normal_(module.out.weight, gain=gain)
        if isinstance(module, Block):
            nn.init.xavier_normal_(module.expand.weight, gain=gain)
            nn.init.xavier_normal_(module.contract.weight, gain=gain)
