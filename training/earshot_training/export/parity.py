"""PyTorch against ONNX Runtime: the same clips, alone and in a batch of mixed lengths."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor

from earshot_training.audio.fbank import num_rows
from earshot_training.errors import UserError
from earshot_training.export.encoder_graph import OUTPUTS
from earshot_training.model.beats import Beats

TOLERANCE = 1e-4
# One row, odd lengths, a window of the service.
NOISE_LENGTHS = (2_800, 7_999, 23_457, 80_000, 160_000)

Waveform = NDArray[np.float32]
Graph = onnx.ModelProto | Path


class Parity(NamedTuple):
    """Largest absolute difference of each output between PyTorch and the graph."""

    alone: dict[str, float]  # each clip run alone in both
    batch: dict[str, float]  # clips alone in PyTorch, in one padded batch in the graph


class ParityError(UserError):
    """The graph does not compute what the model computes."""


def noise_waveforms(seed: int = 0) -> list[Waveform]:
    """Bursts of noise of several lengths and levels, without the near-silent bands of a tone.

    In such bands float32 itself is off by more than the tolerance.
    """
    generator = np.random.default_rng(seed)
    return [_noise(generator, length) for length in NOISE_LENGTHS]


def assert_parity(
    model: Beats,
    graph: Graph,
    waveforms: Sequence[Waveform],
    *,
    tolerance: float = TOLERANCE,
) -> Parity:
    """Measure; a difference above the tolerance or not a number is a ParityError."""
    parity = measure_parity(model, graph, waveforms)
    for manner, differences in parity._asdict().items():
        for output, difference in differences.items():
            if not difference <= tolerance:
                raise ParityError(
                    f"Expected {output} ({manner}) within {tolerance} of PyTorch, "
                    f"got a difference of {difference:.3g}"
                )
    return parity


def measure_parity(model: Beats, graph: Graph, waveforms: Sequence[Waveform]) -> Parity:
    """Compare all outputs on waveforms at 16 kHz of at least 2800 samples each."""
    session = create_session(graph)
    expected = [_run_model(model, waveform) for waveform in waveforms]
    alone = [_run_graph(session, [waveform])[0] for waveform in waveforms]
    batch = _run_graph(session, waveforms)
    return Parity(_differences(expected, alone), _differences(expected, batch))


def assert_finite(graph: Graph, waveforms: Sequence[Waveform]) -> None:
    """Run each waveform alone; an output that is not all numbers is a ParityError."""
    session = create_session(graph)
    for waveform in waveforms:
        for name, values in _run_graph(session, [waveform])[0].items():
            if not np.isfinite(values).all():
                raise ParityError(f"Expected numbers in {name}, got some that are not finite")


def create_session(graph: Graph) -> onnxruntime.InferenceSession:
    """Open a graph, or the file of one, on the CPU with one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    source = str(graph) if isinstance(graph, Path) else graph.SerializeToString()
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def pad_waveforms(waveforms: Sequence[Waveform]) -> tuple[Waveform, NDArray[np.int64]]:
    """Put clips into one batch, zero past their ends: (B, samples), (B,) valid samples."""
    num_samples = np.asarray([len(waveform) for waveform in waveforms], dtype=np.int64)
    batch = np.zeros((len(waveforms), int(num_samples.max())), dtype=np.float32)
    for row, waveform in zip(batch, waveforms, strict=True):
        row[: len(waveform)] = waveform
    return batch, num_samples


def _run_model(model: Beats, waveform: Waveform) -> dict[str, Waveform]:
    was_training = model.training
    model.eval()
    with torch.no_grad():
        device = next(model.parameters()).device
        samples = torch.from_numpy(waveform).to(device).unsqueeze(0)
        output = model(samples, torch.tensor([len(waveform)], device=device))
    model.train(was_training)
    assert output.row_embeddings is not None
    if model.predictor is None:
        # Logits of no label, as the graph gives them.
        output = output._replace(
            clip_logits=output.clip_embedding[..., :0], row_logits=output.row_embeddings[..., :0]
        )
    return {name: _array(getattr(output, name)[0]) for name in OUTPUTS}


def _run_graph(
    session: onnxruntime.InferenceSession, waveforms: Sequence[Waveform]
) -> list[dict[str, Waveform]]:
    """Run as one batch; a clip's rows past its end, which must be zero, are cut off."""
    batch, num_samples = pad_waveforms(waveforms)
    values = session.run(list(OUTPUTS), {"waveform": batch, "num_samples": num_samples})
    outputs = []
    for index, samples in enumerate(num_samples):
        output = {name: value[index] for name, value in zip(OUTPUTS, values, strict=True)}
        rows = num_rows(int(samples))
        for name in ("row_logits", "row_embeddings"):
            if np.any(output[name][rows:] != 0):
                raise ParityError(f"Expected zeros in {name} past the {rows} rows of a clip")
            output[name] = output[name][:rows]
        outputs.append(output)
    return outputs


def _differences(
    expected: Sequence[dict[str, Waveform]], came: Sequence[dict[str, Waveform]]
) -> dict[str, float]:
    return {
        name: float(
            np.max(
                [
                    np.abs(a[name] - b[name]).max(initial=0.0)
                    for a, b in zip(expected, came, strict=True)
                ]
            )
        )
        for name in OUTPUTS
    }


def _noise(generator: np.random.Generator, length: int) -> Waveform:
    envelope = np.repeat(10 ** generator.uniform(-2, -0.5, size=length // 1600 + 1), 1600)[:length]
    noise = generator.standard_normal(length) * envelope
    return np.clip(noise, -1, 1).astype(np.float32)


def _array(tensor: Tensor) -> Waveform:
    values: Waveform = tensor.float().cpu().numpy()
    return values
