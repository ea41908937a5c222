"""PyTorch against ONNX Runtime for a tokenizer: each patch gets the nearest code vector.

Two code vectors may be equally near within the rounding of float32, and then either is right. So
the graph is held to distances, not to names: its choice may be no farther than the nearest.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from earshot_training.audio.fbank import num_rows
from earshot_training.export.parity import (
    TOLERANCE,
    Graph,
    ParityError,
    Waveform,
    create_session,
    pad_waveforms,
)
from earshot_training.tokenizer.distilled import DistilledTokenizer

Tokens = NDArray[np.int64]


class TokenParity(NamedTuple):
    """Tokens of all clips, each run alone and in one padded batch."""

    tokens: int
    differing: int  # named otherwise than in PyTorch
    largest_gap: float  # squared distance to the graph's code vector less that to the nearest


def assert_token_parity(
    tokenizer: DistilledTokenizer,
    graph: Graph,
    waveforms: Sequence[Waveform],
    *,
    tolerance: float = TOLERANCE,
) -> TokenParity:
    """Measure; a gap above the tolerance is a ParityError.

    `waveforms` at 16 kHz, at least 2800 samples each; a tokenizer in evaluation mode.
    """
    session = create_session(graph)
    batch = _run_graph(session, waveforms)
    count = differing = 0
    largest_gap = 0.0
    for waveform, in_batch in zip(waveforms, batch, strict=True):
        distances = _distances(tokenizer, waveform)
        for token_ids in (_run_graph(session, [waveform])[0], in_batch):
            gaps = _gaps(distances, token_ids)
            count += token_ids.size
            differing += int((torch.from_numpy(token_ids) != distances.argmin(dim=-1)).sum())
            largest_gap = float(np.maximum(largest_gap, gaps.max()))
    if not largest_gap <= tolerance:
        raise ParityError(
            f"Expected tokens whose code vectors are the nearest within {tolerance}, "
            f"got one that is {largest_gap:.3g} farther"
        )
    return TokenParity(count, differing, largest_gap)


def _distances(tokenizer: DistilledTokenizer, waveform: Waveform) -> Tensor:
    """Squared distances of each patch to the code vectors, less |v|^2: (N, codebook_size)."""
    with torch.no_grad():
        fbank = tokenizer.fbank(torch.from_numpy(waveform).unsqueeze(0))
        rows = torch.tensor([num_rows(len(waveform))])
        vectors, _ = tokenizer.patch_vectors(fbank, rows)
        unit = functional.normalize(vectors[0].float(), dim=-1)
        codes = tokenizer.codebook.code_vectors
        return codes.square().sum(dim=-1) - 2 * unit @ codes.T


def _gaps(distances: Tensor, token_ids: Tokens) -> NDArray[np.float32]:
    chosen = distances.gather(1, torch.from_numpy(token_ids).unsqueeze(1)).squeeze(1)
    gaps: NDArray[np.float32] = (chosen - distances.amin(dim=-1)).numpy()
    return gaps


def _run_graph(
    session: onnxruntime.InferenceSession, waveforms: Sequence[Waveform]
) -> list[Tokens]:
    """Run as one batch: the tokens (N,) of each clip; rows past its end must be zero."""
    batch, num_samples = pad_waveforms(waveforms)
    (tokens,) = session.run(["tokens"], {"waveform": batch, "num_samples": num_samples})
    outputs = []
    for grid, samples in zip(tokens, num_samples, strict=True):
        rows = num_rows(int(samples))
        if np.any(grid[rows:] != 0):
            raise ParityError(f"Expected zeros in tokens past the {rows} rows of a clip")
        outputs.append(grid[:rows].reshape(-1))
    return outputs
