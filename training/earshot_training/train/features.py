"""Frozen model -> a clip's embedding, and one vector per layer of its encoder."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

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


class ClipVectors(NamedTuple):
    """What a model says of clips; without convolutions the last layer is the embedding."""

    layers: LayerVectors
    """Means over the valid patches of what each layer of the encoder gives."""
    embeddings: npt.NDArray[np.float32]
    """(clips, E), the model's own."""


@torch.no_grad()
def extract_features(
    model: Beats,
    clips: Sequence[Clip],
    *,
    batch_size: int,
    max_clip_seconds: float,
    device: torch.device,
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> ClipVectors:
    """Give each clip's vectors, in the clips' order.

    A longer clip is heard up to `max_clip_seconds`. Clips of like length run together, because
    padding costs as much as audio. The model is left in evaluation mode, on the device.

    Raises:
        AudioError: a clip that cannot be read.

    """
    model.eval().to(device)
    config, num_clips = model.config, len(clips)
    layers = np.empty((config.layers, num_clips, config.dim), dtype=np.float32)
    embeddings = np.empty((num_clips, config.embedding_dim), dtype=np.float32)
    by_length = sorted(range(len(clips)), key=lambda index: clips[index].seconds)
    max_samples = round(max_clip_seconds * SAMPLE_RATE_HZ)
    for start in range(0, len(by_length), batch_size):
        indices = by_length[start : start + batch_size]
        waveforms = [
            torch.from_numpy(read_waveform(clips[index].path)[:max_samples]) for index in indices
        ]
        with autocast():
            pooled, embedding = _pool(model, waveforms, device)
        layers[:, indices] = pooled.cpu().numpy()
        embeddings[indices] = embedding.float().cpu().numpy()
    return ClipVectors(layers, embeddings)


def _pool(model: Beats, waveforms: Sequence[Tensor], device: torch.device) -> tuple[Tensor, Tensor]:
    num_samples = torch.tensor([len(waveform) for waveform in waveforms], device=device)
    padded = pad_sequence(list(waveforms), batch_first=True).to(device)
    output = model(padded, num_samples, return_layers=True)
    is_valid = (~output.patch_padding).unsqueeze(-1)
    counts = is_valid.sum(dim=1).clamp(min=1)
    layers = [(layer.float() * is_valid).sum(dim=1) / counts for layer in output.layer_vectors]
    return torch.stack(layers), output.clip_embedding
