"""The convolutional positions as ONNX nodes: directly, or through the spectrum of windows.

An output hears `kernel` inputs of every channel of its group. Directly these are 2 * dim * dim /
groups * kernel operations per patch. Through the spectrum (overlap-save: windows of two kernels
that start a kernel apart, their last half thrown away), a window of both lengths costs a product
with a fixed matrix there and back, and a small product per frequency and group in between: a
quarter of the operations at the released size.
"""

from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from earshot_training.export.arithmetic import Arithmetic, Float16
from earshot_training.export.graph import GraphBuilder
from earshot_training.export.layers_graph import add_gelu, to_numpy
from earshot_training.model.encoder import ConvPositions

NAME = "encoder.position_conv.conv"
# Products of narrower groups are too small to be worth the way.
LEAST_GROUP_CHANNELS = 32


class Spectrum(NamedTuple):
    """Constants of the way through the spectrum; K kernel, L = 2 K window, F = K + 1 frequencies.

    Real parts of all frequencies come before none: (F, 2) runs frequency by frequency.
    """

    forward: NDArray[np.float32]  # (2 F, 1, L, 1), kernels over windows of one channel
    weights: NDArray[np.float32]  # (F, groups, in, 2 out), real before imaginary parts
    inverse: NDArray[np.float32]  # (K, 2 F)


def add_conv_positions(
    arithmetic: Arithmetic, positions: ConvPositions, x: str, places: str
) -> str:
    """Add what the convolution and GELU make of x: (B, N, D) -> (B, N, D), float32.

    `places` (N,) int64 counts patches from 1. An even kernel is padded by one less at the end.
    """
    conv = positions.conv
    if isinstance(arithmetic, Float16) or conv.in_channels // conv.groups < LEAST_GROUP_CHANNELS:
        return _add_direct(arithmetic, conv, x)
    return _add_through_spectrum(arithmetic.graph, conv, x, places)


def _add_direct(arithmetic: Arithmetic, conv: nn.Conv1d, x: str) -> str:
    """Convolve pictures of height 1.

    For these, ONNX Runtime's CPU provider has a direct kernel; sequences go through a matrix of
    all windows.
    """
    graph, kernel = arithmetic.graph, conv.kernel_size[0]
    weight = arithmetic.constant(f"{NAME}.weight", to_numpy(conv.weight)[:, :, None])
    bias = arithmetic.constant(f"{NAME}.bias", to_numpy(cast(nn.Parameter, conv.bias)))
    channels_first = graph.node("Transpose", arithmetic.narrow(x), perm=[0, 2, 1])
    convolved = graph.node(
        "Conv",
        graph.node("Unsqueeze", channels_first, graph.integers(2)),
        weight,
        bias,
        name=NAME,
        group=conv.groups,
        pads=[0, kernel // 2, 0, (kernel - 1) // 2],
    )
    sequence = graph.node("Squeeze", convolved, graph.integers(2))
    activated = add_gelu(graph, f"{NAME}.gelu", arithmetic.wide(sequence))
    return graph.node("Transpose", activated, perm=[0, 2, 1])


def _add_through_spectrum(graph: GraphBuilder, conv: nn.Conv1d, x: str, places: str) -> str:
    kernel, groups, dim = conv.kernel_size[0], conv.groups, conv.in_channels
    constants = spectrum(to_numpy(conv.weight), groups)
    spectra = graph.node(
        "Conv",
        graph.node("Unsqueeze", x, graph.integers(1)),
        graph.constant(f"{NAME}.forward", constants.forward),
        name=f"{NAME}.spectra",
        strides=[kernel, 1],
        # All of the last window's kept half may lie past the end.
        pads=[kernel // 2, 0, 2 * kernel - 1 - kernel // 2, 0],
    )
    products = _add_products(graph, constants, spectra)
    inverse = graph.constant(f"{NAME}.inverse", constants.inverse)
    windows = graph.node("MatMul", inverse, products, name=f"{NAME}.windows")
    sequence = graph.node("Reshape", windows, graph.integers(0, -1, dim))
    index = graph.node("Sub", places, graph.integers(1))
    whole = graph.node("Gather", sequence, index, axis=1)
    bias = graph.constant(f"{NAME}.bias", to_numpy(cast(nn.Parameter, conv.bias)))
    return add_gelu(graph, f"{NAME}.gelu", graph.node("Add", whole, bias, name=NAME))


def _add_products(graph: GraphBuilder, constants: Spectrum, spectra: str) -> str:
    """Multiply by the kernels' spectra: (B, 2 F, windows, D) -> (B, windows, 2 F, D).

    Real and imaginary parts stand as rows on the left and as columns on the right, so that one
    product makes the four of complex numbers.
    """
    frequencies, groups, channels, _ = constants.weights.shape
    split = graph.node("Reshape", spectra, graph.integers(0, frequencies, -1, groups, channels))
    by_group = graph.node("Transpose", split, perm=[0, 1, 3, 2, 4])
    weights = graph.constant(f"{NAME}.weights", constants.weights)
    four = graph.node("MatMul", by_group, weights, name=f"{NAME}.product")
    apart = graph.node("Reshape", four, graph.integers(0, 0, groups, 2, -1, 2, channels))
    of_real, of_imaginary = graph.split(apart, 2, axis=3, name=f"{NAME}.rows")
    real_real, real_imaginary = graph.split(of_real, 2, axis=5, name=f"{NAME}.real")
    imaginary_real, imaginary_imaginary = graph.split(of_imaginary, 2, axis=5, name=f"{NAME}.imag")
    real = graph.node("Sub", real_real, imaginary_imaginary)
    imaginary = graph.node("Add", real_imaginary, imaginary_real)
    both = graph.node("Concat", real, imaginary, axis=3)
    by_window = graph.node("Transpose", both, perm=[0, 4, 1, 3, 2, 5, 6])
    return graph.node(
        "Reshape", by_window, graph.integers(0, 0, 2 * frequencies, groups * channels)
    )


def spectrum(weight: NDArray[np.float32], groups: int) -> Spectrum:
    """Compute the constants in float64, from a kernel (out, in per group, K)."""
    out, channels, kernel = weight.shape
    window, frequencies = 2 * kernel, kernel + 1
    angles = 2 * np.pi / window * np.outer(np.arange(frequencies), np.arange(window))
    forward = np.stack([np.cos(angles), -np.sin(angles)], axis=1)
    # A convolution layer correlates, which is a product with the conjugate.
    kernels = np.fft.rfft(weight.astype(np.float64), n=window, axis=2).conj()
    by_group = kernels.reshape(groups, out // groups, channels, frequencies).transpose(3, 0, 2, 1)
    # All frequencies but the first and the last stand for two.
    twice = np.where(np.isin(np.arange(frequencies), (0, kernel)), 1.0, 2.0) / window
    inverse = (forward * twice[:, None, None])[:, :, :kernel]
    return Spectrum(
        forward=forward.reshape(2 * frequencies, 1, window, 1).astype(np.float32),
        weights=np.concatenate([by_group.real, by_group.imag], axis=-1).astype(np.float32),
        inverse=inverse.reshape(2 * frequencies, kernel).T.astype(np.float32),
    )
