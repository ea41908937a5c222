"""Frozen encoder -> one vector per clip and layer."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from earshot_training.audio.waveform import SAMPLE_RATE_HZ, read_waveform
from earshot_training.data.manifest import Clip
from earshot_training.model.beats import Beats

LayerVectors = npt.NDArray[np.float32]
"""(layers, clips, D)."""


@torch.no_grad()
def extract_features(
    model: Beats,
    clips: Sequence[Clip],
    *,
    batch_size: int,
    max_clip_seconds: float,
    device: torch.device,
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> LayerVectors:
    """Mean over the valid patches of every layer's output: (layers, clips, D), in the clips' order.

    A longer clip is heard up to `max_clip_seconds`. Clips of like length run together, because
    padding costs as much as audio. The model is left in evaluation mode, on the device.

    Raises:
        AudioError: a clip that cannot be read.

    """
    model.eval().to(device)
    vectors = np.empty((model.config.layers, len(clips), model.config.dim), dtype=np.float32)
    by_length = sorted(range(len(clips)), key=lambda index: clips[index].seconds)
    max_samples = round(max_clip_seconds * SAMPLE_RATE_HZ)
    for start in range(0, len(by_length), batch_size):
        indices = by_length[start : start + batch_size]
        waveforms = [
            torch.from_numpy(read_waveform(clips[index].path)[:max_samples]) for index in indices
        ]
        with autocast():
            pooled = _pooled_layers(model, waveforms, device)
        vectors[:, indices] = pooled.cpu().numpy()
    return vectors


def _pooled_layers(model: Beats, waveforms: Sequence[Tensor], device: torch.device) -> Tensor:
    num_samples = torch.tensor([len(waveform) for waveform in waveforms], device=device)
    padded = pad_sequence(list(waveforms), batch_first=True).to(device)
    output = model(padded, num_samples, return_layers=True)
    is_valid = (~output.patch_padding).unsqueeze(-1)
    counts = is_valid.sum(dim=1).clamp(min=1)
    return torch.stack(
        [(layer.float() * is_valid).sum(dim=1) / counts for layer in output.layer_vectors]
    )
