"""Waveform to tiles of the fbank, and which of them are audio, as ONNX nodes.

No Shape node: with one, the CUDA provider puts integer arithmetic on the CPU and the runtime then
refuses a session that forbids that fallback. Lengths come from CumSum over ones instead, and
frames after the last whole row are cut by slices whose ends are constants.
"""

from typing import NamedTuple

import numpy as np

from earshot_training.audio.fbank import (
    FFT_BINS,
    FRAME_LENGTH,
    FRAME_SHIFT,
    LOG_FLOOR,
    Fbank,
)
from earshot_training.config import MEL_BINS, EncoderConfig
from earshot_training.export.graph import FLOAT, INT32, INT64, GraphBuilder
from earshot_training.export.layers_graph import to_numpy

END = int(np.iinfo(np.int64).max)


class PatchGrid(NamedTuple):
    """Names of the values that describe the patch grid of a batch."""

    rows: str  # float (B, patch_size * 128, rows), the frames of each row stacked
    tiles: str  # float (B, N, patch_size ** 2)
    row_valid: str  # float (B, rows, 1), 1 = audio, 0 = padding
    patch_valid: str  # float (B, N, 1)
    num_rows: str  # float (B, 1), valid rows, at least 1
    num_patches: str  # int32 (B,), valid patches
    positions: str  # int64 (N,), 1 .. N


def add_front(
    graph: GraphBuilder, fbank: Fbank, config: EncoderConfig, waveform: str, num_samples: str
) -> PatchGrid:
    """Add everything before the patch embedding: (B, samples), (B,) int64 -> the patch grid."""
    rows = _add_rows(graph, config, _add_fbank(graph, fbank, waveform))
    row_ones = _add_row_ones(graph, rows)
    row_valid = _add_row_valid(graph, config, row_ones, num_samples)
    num_rows = graph.node("ReduceSum", row_valid, graph.integers(1), keepdims=0, name="num_rows")
    num_patches = graph.node("Mul", num_rows, graph.floats(config.bands))
    return PatchGrid(
        rows=rows,
        tiles=_add_tiles(graph, config, rows),
        row_valid=row_valid,
        patch_valid=_repeat_bands(graph, config, row_valid, [0, -1, 1], np.float32),
        num_rows=num_rows,
        num_patches=graph.node(
            "Reshape", graph.node("Cast", num_patches, to=INT32), graph.integers(-1)
        ),
        positions=graph.node(
            "CumSum",
            _repeat_bands(graph, config, row_ones, [-1], np.int64),
            graph.constant("axis_0", np.asarray(0)),
            name="positions",
        ),
    )


def _add_fbank(graph: GraphBuilder, fbank: Fbank, waveform: str) -> str:
    """(B, samples) -> normalised fbank, mel before time: (B, 128, frames)."""
    channel = graph.node("Unsqueeze", waveform, graph.integers(1))
    kernels = graph.constant("fbank.kernels", to_numpy(fbank.kernels))
    spectrum = graph.node("Conv", channel, kernels, name="fbank.conv", strides=[FRAME_SHIFT])
    squares = graph.node("Mul", spectrum, spectrum)
    real, imaginary = (
        graph.node("Slice", squares, graph.integers(a), graph.integers(b), graph.integers(1))
        for a, b in ((0, FFT_BINS), (FFT_BINS, 2 * FFT_BINS))
    )
    power = graph.node("Add", real, imaginary, name="fbank.power")
    mel_weights = graph.constant("fbank.mel_weights", to_numpy(fbank.mel_weights).T)
    mel = graph.node("MatMul", mel_weights, power, name="fbank.mel")
    log_mel = graph.node("Log", graph.node("Max", mel, graph.floats(LOG_FLOOR)))
    centred = graph.node("Sub", log_mel, graph.floats(fbank.statistics.mean))
    return graph.node("Div", centred, graph.floats(2 * fbank.statistics.std), name="fbank")


def _add_rows(graph: GraphBuilder, config: EncoderConfig, fbank: str) -> str:
    """Stack the frames of each whole row: (B, 128, frames) -> (B, patch_size * 128, rows).

    Slice k takes frames k, k + size, ..; its end leaves as many frames behind it as a row lacks
    after its frame k, so that all slices are floor(frames / size) long.
    """
    size = config.patch_size
    axis, step = graph.integers(2), graph.integers(size)
    slices = [
        graph.node(
            "Slice",
            fbank,
            graph.integers(k),
            graph.integers(END if k == size - 1 else k + 1 - size),
            axis,
            step,
        )
        for k in range(size)
    ]
    return graph.node("Concat", *slices, name="rows", axis=1)


def _add_tiles(graph: GraphBuilder, config: EncoderConfig, rows: str) -> str:
    """(B, patch_size * 128, rows) -> tiles in time-major order (B, N, patch_size ** 2)."""
    size, bands = config.patch_size, config.bands
    split = graph.node("Reshape", rows, graph.integers(0, size, bands, MEL_BINS // bands, -1))
    ordered = graph.node("Transpose", split, perm=[0, 4, 2, 1, 3])
    return graph.node("Reshape", ordered, graph.integers(0, -1, size**2), name="tiles")


def _add_row_ones(graph: GraphBuilder, rows: str) -> str:
    """One int64 one per row: (1, rows, 1). `x > x` is false for every x, also for NaN."""
    starts, ends, axes = graph.integers(0, 0), graph.integers(1, 1), graph.integers(0, 1)
    first = graph.node("Slice", rows, starts, ends, axes)
    zeros = graph.node("Cast", graph.node("Greater", first, first), to=INT64)
    ones = graph.node("Add", zeros, graph.integers(1))
    return graph.node("Reshape", ones, graph.integers(1, -1, 1))


def _add_row_valid(
    graph: GraphBuilder, config: EncoderConfig, row_ones: str, num_samples: str
) -> str:
    """Which rows are audio: float (B, rows, 1).

    floor((1 + floor((n - length) / shift)) / size) in one division; at least one row counts, so
    that a clip too short for a row gives a number that means nothing, not NaN.
    """
    size = config.patch_size
    offset = graph.node("Sub", num_samples, graph.integers(FRAME_LENGTH - FRAME_SHIFT))
    whole = graph.node("Div", offset, graph.integers(size * FRAME_SHIFT))
    num_rows = graph.node("Max", whole, graph.integers(1))
    last = graph.node("Reshape", num_rows, graph.integers(-1, 1, 1))
    row_numbers = graph.node("CumSum", row_ones, graph.constant("axis_1", np.asarray(1)))
    return graph.node("Cast", graph.node("LessOrEqual", row_numbers, last), to=FLOAT)


def _repeat_bands(
    graph: GraphBuilder, config: EncoderConfig, rows: str, shape: list[int], dtype: type[np.generic]
) -> str:
    """Give every band of a row the row's value: (B, rows, 1) -> `shape`."""
    name = f"band_ones.{np.dtype(dtype).name}"
    ones = graph.constant(name, np.ones((1, 1, config.bands), dtype=dtype))
    return graph.node("Reshape", graph.node("Mul", rows, ones), graph.integers(*shape))
