"""A residual convolutional network over the fbank, beside the encoder.

Convolutions learn from a thousand clips what transformers need many more for; together they err
less than either (docs/experiments.md). Its last layer lies on BEATs' patch grid.
"""

import torch
from torch import Tensor, nn

from earshot_training.audio.fbank import PATCH_FRAMES

STEM_KERNEL = 7
STEM_STRIDE = (4, 2)
BLOCK_STRIDES = ((2, 2), (2, 2), (1, 2))
"""With the stem's 16 frames by 16 mel bins: one vector for each of BEATs' patches."""
WIDTH_GROWTH = 2 ** len(BLOCK_STRIDES)


class Residual(nn.Module):
    """Two 3 x 3 convolutions with batch norms beside a shortcut; the first has the stride."""

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
        """(B, C, T, F) -> (B, C', T', F'); `is_audio` (B, 1, T', 1), None: nothing is padding."""
        hidden = _without_padding(self.first_norm(self.first(x)).relu(), is_audio)
        hidden = self.second_norm(self.second(hidden))
        around = self.shortcut_norm(self.shortcut(self.pool(x)))
        return _without_padding((hidden + around).relu(), is_audio)


class Convolutions(nn.Module):
    """Fbank -> a vector for each patch of 16 frames by 16 mel bins.

    Padding is zero in every layer, as what lies outside a picture is for a convolution, so a clip
    says the same alone and in a padded batch.

    Args:
        width: channels of the stem; each of the three blocks has twice as many as what it gets.

    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dim = width * WIDTH_GROWTH
        self.stem = nn.Conv2d(
            1, width, STEM_KERNEL, stride=STEM_STRIDE, padding=STEM_KERNEL // 2, bias=False
        )
        self.stem_norm = nn.BatchNorm2d(width)
        self.blocks = nn.ModuleList(
            Residual(width * 2**index, width * 2 ** (index + 1), stride)
            for index, stride in enumerate(BLOCK_STRIDES)
        )
        # Convolutions on processors are fastest with the channels last.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # of torch

    def forward(self, fbank: Tensor, num_rows: Tensor) -> Tensor:
        """Run on a normalised fbank (B, frames, 128) with num_rows (B,) int64 rows of audio.

        Returns (B, N, dim), patches in BEATs' order, zero where a patch is padding.
        """
        rows = fbank.shape[1] // PATCH_FRAMES
        x = fbank[:, None, : rows * PATCH_FRAMES]
        is_row = torch.arange(rows, device=fbank.device) < num_rows[:, None]
        is_audio = None if bool(is_row.all()) else is_row[:, None, :, None]
        x = _without_padding(x, _at_frames(is_audio, 1)).to(memory_format=torch.channels_last)
        cell_frames = STEM_STRIDE[0]
        x = self.stem_norm(self.stem(x)).relu()
        x = _without_padding(x, _at_frames(is_audio, cell_frames))
        for block, (stride, _) in zip(self.blocks, BLOCK_STRIDES, strict=True):
            cell_frames *= stride
            x = block(x, _at_frames(is_audio, cell_frames))
        return x.permute(0, 2, 3, 1).flatten(1, 2)


def _at_frames(is_audio: Tensor | None, cell_frames: int) -> Tensor | None:
    """Repeat the flags of rows (B, 1, rows, 1) for the cells of so many frames."""
    if is_audio is None:
        return None
    return is_audio.repeat_interleave(PATCH_FRAMES // cell_frames, dim=2)


def _without_padding(x: Tensor, is_audio: Tensor | None) -> Tensor:
    return x if is_audio is None else x * is_audio


class ConvolutionTagger(nn.Module):
    """Convolutions with a label predictor of their own, linear in the mean over all patches."""

    def __init__(self, width: int, *, num_labels: int, dropout: float) -> None:
        super().__init__()
        self.convolutions = Convolutions(width)
        self.dropout = nn.Dropout(dropout)
        self.predictor = nn.Linear(self.convolutions.dim, num_labels)

    def forward(self, fbank: Tensor) -> Tensor:
        """Fbank (B, frames, 128), nothing of it padding -> (B, labels) logits."""
        rows = torch.full((len(fbank),), fbank.shape[1] // PATCH_FRAMES, device=fbank.device)
        mean = self.convolutions(fbank, rows).float().mean(dim=1)
        # In float32, also inside autocast, as the tagger's.
        with torch.autocast(mean.device.type, enabled=False):
            logits: Tensor = self.predictor(self.dropout(mean))
        return logits
