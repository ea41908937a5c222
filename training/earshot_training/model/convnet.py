"""A residual convolutional network over the fbank: the teacher of small taggers.

It is never served. With a few thousand clips convolutions learn in a fraction of the steps that a
transformer takes (docs/experiments.md), and what they have learnt can be told to one.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from earshot_training.audio.fbank import PATCH_FRAMES
from earshot_training.config import ConfigError

STEM_STRIDE = (4, 2)
BLOCK_STRIDES = ((2, 2), (2, 2), (1, 2))
"""With the stem's 16 frames by 16 mel bins: one vector for each of BEATs' patches."""


@dataclass(frozen=True, kw_only=True)
class ConvNetConfig:
    """Sizes of the network."""

    width: int = 32
    """Channels of the stem; each of the three blocks has twice as many as what it gets."""
    dropout: float = 0.3
    """Of the clip's vector, before the classes."""

    def __post_init__(self) -> None:
        """Refuse sizes that no network can have."""
        if self.width < 1:
            raise ConfigError(f"width: expected at least 1, got {self.width}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout: expected a rate in [0, 1), got {self.dropout}")

    @property
    def dim(self) -> int:
        """Dimensions of a patch vector."""
        return self.width << len(BLOCK_STRIDES)


class ConvNetOutput(NamedTuple):
    """What the network makes of a batch; N patches in BEATs' order, row by row."""

    patch_vectors: Tensor  # (B, N, D), zero where a patch is padding
    clip_logits: Tensor  # (B, classes)


class Residual(nn.Module):
    """Two 3 x 3 convolutions with batch norm beside a shortcut; the first has the stride."""

    def __init__(self, channels_in: int, channels: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)
        self.pool = nn.AvgPool2d(stride)
        self.shortcut = nn.Conv2d(channels_in, channels, 1, bias=False)
        self.shortcut_norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor, is_audio: Tensor | None) -> Tensor:
        """Transform (B, C, T, F); `is_audio` (B, 1, T', 1) is None where nothing is padding."""
        hidden = _without_padding(self.first_norm(self.first(x)).relu(), is_audio)
        hidden = self.second_norm(self.second(hidden))
        around = self.shortcut_norm(self.shortcut(self.pool(x)))
        return _without_padding((hidden + around).relu(), is_audio)


class ConvNet(nn.Module):
    """Fbank -> a vector for each patch and logits of the clip's classes.

    Padding is zero in every layer, so a clip says the same alone and in a padded batch.

    Args:
        config: sizes.
        num_classes: of the clip's logits.

    """

    def __init__(self, config: ConvNetConfig, *, num_classes: int) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.stem = nn.Conv2d(1, width, 7, stride=STEM_STRIDE, padding=3, bias=False)
        self.stem_norm = nn.BatchNorm2d(width)
        self.blocks = nn.ModuleList(
            Residual(width * 2**index, width * 2 ** (index + 1), stride)
            for index, stride in enumerate(BLOCK_STRIDES)
        )
        self.dropout = nn.Dropout(config.dropout)
        self.predictor = nn.Linear(config.dim, num_classes)
        # Convolutions on processors are fastest with the channels last.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # of torch

    def forward(self, fbank: Tensor, num_rows: Tensor) -> ConvNetOutput:
        """Run on a normalised fbank (B, frames, 128) with num_rows (B,) int64 rows of audio."""
        rows = fbank.shape[1] // PATCH_FRAMES
        x = fbank[:, None, : rows * PATCH_FRAMES]
        is_row = torch.arange(rows, device=fbank.device) < num_rows[:, None]
        is_audio = None if is_row.all() else is_row[:, None, :, None]
        x = _without_padding(x, _at_frames(is_audio, 1))
        x = x.to(memory_format=torch.channels_last)
        cell_frames = STEM_STRIDE[0]
        x = self.stem_norm(self.stem(x)).relu()
        x = _without_padding(x, _at_frames(is_audio, cell_frames))
        for block, (stride, _) in zip(self.blocks, BLOCK_STRIDES, strict=True):
            cell_frames *= stride
            x = block(x, _at_frames(is_audio, cell_frames))
        return ConvNetOutput(x.permute(0, 2, 3, 1).flatten(1, 2), self._logits(x, num_rows))

    def _logits(self, x: Tensor, num_rows: Tensor) -> Tensor:
        """From the mean and the maximum over time of the mean over the mel bands."""
        by_row = x.float().mean(dim=3)  # (B, D, rows); at least 0, as is the padding
        mean = by_row.sum(dim=2) / num_rows[:, None].clamp(min=1)
        logits: Tensor = self.predictor(self.dropout(mean + by_row.amax(dim=2)))
        return logits


def _at_frames(is_audio: Tensor | None, cell_frames: int) -> Tensor | None:
    """Repeat the flags of rows (B, 1, rows, 1) for the cells of so many frames."""
    if is_audio is None:
        return None
    return is_audio.repeat_interleave(PATCH_FRAMES // cell_frames, dim=2)


def _without_padding(x: Tensor, is_audio: Tensor | None) -> Tensor:
    return x if is_audio is None else x * is_audio
