"""The convolutional network beside the encoder as ONNX nodes.

Its pictures are (B, channels, mel, time), as the fbank lies in the graph; batch norms are folded
into the convolutions before them. Padding is zero in every layer, as in PyTorch.
"""

import math
from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from earshot_training.audio.fbank import PATCH_FRAMES
from earshot_training.config import MEL_BINS
from earshot_training.export.arithmetic import Arithmetic
from earshot_training.export.front_graph import PatchGrid
from earshot_training.export.layers_graph import to_numpy
from earshot_training.model.convolutions import (
    BLOCK_STRIDES,
    STEM_STRIDE,
    Convolutions,
    Residual,
)

NAME = "convolutions"
Kernels = NDArray[np.float32]


def add_convolutions(arithmetic: Arithmetic, convolutions: Convolutions, grid: PatchGrid) -> str:
    """Add the network: patch grid -> vectors of patches (B, N, dim), float32, zero at padding."""
    graph, pictures = arithmetic.graph, _Pictures(arithmetic, grid)
    x, cell_frames = pictures.of_fbank(grid), STEM_STRIDE[0]
    stem = pictures.convolve(f"{NAME}.stem", convolutions.stem, convolutions.stem_norm, x)
    x = pictures.rectify(stem, cell_frames)
    for index, (stride, _) in enumerate(BLOCK_STRIDES):
        block = cast(Residual, convolutions.blocks[index])
        cell_frames *= stride
        x = pictures.add_block(f"{NAME}.blocks.{index}", block, x, cell_frames)
    patches = graph.node("Transpose", x, perm=[0, 3, 2, 1])
    vectors = graph.node("Reshape", patches, graph.integers(0, -1, convolutions.dim))
    return arithmetic.wide(vectors)


class _Pictures:
    """Layers on pictures in the working form, in which padding is zero."""

    def __init__(self, arithmetic: Arithmetic, grid: PatchGrid) -> None:
        self._arithmetic = arithmetic
        self._graph = arithmetic.graph
        self._row_valid = arithmetic.narrow(grid.row_valid)
        self._masks: dict[int, str] = {}

    def of_fbank(self, grid: PatchGrid) -> str:
        """Lay the frames of all whole rows side by side: (B, 1, 128, frames)."""
        graph = self._graph
        frames = graph.node("Reshape", grid.rows, graph.integers(0, PATCH_FRAMES, MEL_BINS, -1))
        by_mel = graph.node("Transpose", frames, perm=[0, 2, 3, 1])
        picture = graph.node("Reshape", by_mel, graph.integers(0, 1, MEL_BINS, -1))
        return self._without_padding(self._arithmetic.narrow(picture), cell_frames=1)

    def add_block(self, name: str, block: Residual, x: str, cell_frames: int) -> str:
        """Add a residual block whose cells are so many frames long."""
        first = self.convolve(f"{name}.first", block.first, block.first_norm, x)
        hidden = self.rectify(first, cell_frames)
        second = self.convolve(f"{name}.second", block.second, block.second_norm, hidden)
        around = self._shortcut(f"{name}.shortcut", block, x)
        return self.rectify(self._graph.node("Add", second, around), cell_frames)

    def convolve(self, name: str, conv: nn.Conv2d, norm: nn.BatchNorm2d, x: str) -> str:
        """Convolve and normalise: (B, C, F, T) -> (B, C', F', T')."""
        weight, bias = _folded(to_numpy(conv.weight), norm)
        stride, padding = cast(tuple[int, int], conv.stride), cast(tuple[int, int], conv.padding)
        return self._conv(name, weight, bias, x, stride=stride, padding=padding)

    def rectify(self, x: str, cell_frames: int) -> str:
        """ReLU, and padding is zero again."""
        return self._without_padding(self._graph.node("Relu", x), cell_frames)

    def _shortcut(self, name: str, block: Residual, x: str) -> str:
        """Pool and convolve by 1 x 1: one convolution whose stride is its kernel."""
        stride = cast(tuple[int, int], block.pool.kernel_size)
        pooled = np.tile(to_numpy(block.shortcut.weight) / math.prod(stride), (1, 1, *stride))
        weight, bias = _folded(pooled.astype(np.float32), block.shortcut_norm)
        return self._conv(name, weight, bias, x, stride=stride, padding=(0, 0))

    def _conv(
        self,
        name: str,
        weight: Kernels,
        bias: Kernels,
        x: str,
        *,
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> str:
        """Kernels (C', C, time, mel), strides and padding of (time, mel), on (mel, time)."""
        return self._graph.node(
            "Conv",
            x,
            self._arithmetic.constant(f"{name}.weight", weight.transpose(0, 1, 3, 2)),
            self._arithmetic.constant(f"{name}.bias", bias),
            name=name,
            strides=[*reversed(stride)],
            pads=[*reversed(padding), *reversed(padding)],
        )

    def _without_padding(self, x: str, cell_frames: int) -> str:
        graph, cells = self._graph, PATCH_FRAMES // cell_frames
        if cells not in self._masks:
            ones = np.ones((1, 1, cells), dtype=np.float32)
            repeated = self._arithmetic.constant(f"{NAME}.ones.{cells}", ones)
            flags = graph.node("Mul", self._row_valid, repeated)
            self._masks[cells] = graph.node("Reshape", flags, graph.integers(0, 1, 1, -1))
        return graph.node("Mul", x, self._masks[cells])


def _folded(weight: Kernels, norm: nn.BatchNorm2d) -> tuple[Kernels, Kernels]:
    """Kernels and bias that do what kernels and then the batch norm, in evaluation mode, do."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = to_numpy(norm.weight / (norm.running_var + norm.eps).sqrt())
    bias = to_numpy(norm.bias) - to_numpy(norm.running_mean) * scale
    return weight * scale[:, None, None, None], bias
