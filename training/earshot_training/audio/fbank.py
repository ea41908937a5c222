"""Waveform to Kaldi log-mel filterbank: the only copy, also the one that is exported to ONNX.

Source: torchaudio's `compliance.kaldi.fbank` with 128 mel bins at 16 kHz and its other defaults.
"""

from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from earshot_training.config import MEL_BINS, FbankStatistics

SAMPLE_RATE = 16_000
FRAME_LENGTH = 400
FRAME_SHIFT = 160
PATCH_FRAMES = 16
FFT_SIZE = 512
# The Nyquist bin has no mel weight, so it is never computed.
FFT_BINS = FFT_SIZE // 2
LOW_HZ = 20.0
PRE_EMPHASIS = 0.97
# BEATs was trained on int16 amplitudes.
AMPLITUDE_SCALE = 2.0**15
LOG_FLOOR = 1.1920929e-07


@overload
def num_frames(num_samples: int) -> int: ...
@overload
def num_frames(num_samples: Tensor) -> Tensor: ...
def num_frames(num_samples: int | Tensor) -> int | Tensor:
    """Count the whole frames of 400 samples, 160 apart; 0 for fewer than 400 samples."""
    frames = 1 + (num_samples - FRAME_LENGTH) // FRAME_SHIFT
    return frames.clamp(min=0) if isinstance(frames, Tensor) else max(frames, 0)


@overload
def num_rows(num_samples: int, patch_frames: int = PATCH_FRAMES) -> int: ...
@overload
def num_rows(num_samples: Tensor, patch_frames: int = PATCH_FRAMES) -> Tensor: ...
def num_rows(num_samples: int | Tensor, patch_frames: int = PATCH_FRAMES) -> int | Tensor:
    """Count the rows of the patch grid whose 16 frames all lie inside the clip."""
    return num_frames(num_samples) // patch_frames


class Fbank(nn.Module):
    """Log-mel filterbank, normalised: (B, samples) in [-1, 1] at 16 kHz -> (B, frames, 128).

    Everything up to the spectrum is linear in a frame, so it is one convolution whose kernels are
    the real and imaginary parts. Runs in float32, also inside autocast: a power spectrum of int16
    amplitudes exceeds the range of float16 and the precision of bfloat16.

    Buffers: `kernels` (512, 1, 400), `mel_weights` (256, 128). They follow from the formula and are
    not part of the state dict.
    """

    kernels: Tensor
    mel_weights: Tensor

    def __init__(self, statistics: FbankStatistics | None = None) -> None:
        super().__init__()
        self.statistics = statistics or FbankStatistics()
        kernels = torch.from_numpy(frame_kernels()).float().unsqueeze(1)
        self.register_buffer("kernels", kernels, persistent=False)
        mel_weights = torch.from_numpy(mel_weight_matrix()).float()
        self.register_buffer("mel_weights", mel_weights, persistent=False)

    def forward(self, waveforms: Tensor) -> Tensor:
        """Compute the fbank: (B, samples) -> (B, frames, 128); at least 400 samples."""
        if waveforms.ndim != 2 or waveforms.shape[1] < FRAME_LENGTH:
            raise ValueError(
                f"Expected waveforms (batch, samples) of at least {FRAME_LENGTH} samples, "
                f"got {tuple(waveforms.shape)}"
            )
        with torch.autocast(device_type=waveforms.device.type, enabled=False):
            spectrum = nn.functional.conv1d(
                waveforms.float().unsqueeze(1), self.kernels, stride=FRAME_SHIFT
            )
            real, imaginary = spectrum.chunk(2, dim=1)
            power = (real.square() + imaginary.square()).transpose(1, 2)
            log_mel = (power @ self.mel_weights).clamp(min=LOG_FLOOR).log()
            fbank: Tensor = (log_mel - self.statistics.mean) / (2 * self.statistics.std)
            return fbank


def frame_kernels() -> NDArray[np.float64]:
    """Push unit vectors through mean removal, pre-emphasis, window and DFT: (2 * 256, 400).

    The first 256 kernels give the real parts, the others the imaginary parts, of the spectrum of
    a frame in [-1, 1], scaled to int16 amplitudes.
    """
    frames = np.eye(FRAME_LENGTH)
    frames = frames - frames.mean(axis=1, keepdims=True)
    previous = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    frames = (frames - PRE_EMPHASIS * previous) * povey_window()
    spectrum = np.fft.rfft(frames, n=FFT_SIZE, axis=1)[:, :FFT_BINS]
    return AMPLITUDE_SCALE * np.concatenate([spectrum.real, spectrum.imag], axis=1).T


def povey_window() -> NDArray[np.float64]:
    """Kaldi's default window: a Hann window to the power of 0.85, (400,)."""
    phase = 2 * np.pi * np.arange(FRAME_LENGTH) / (FRAME_LENGTH - 1)
    window: NDArray[np.float64] = (0.5 - 0.5 * np.cos(phase)) ** 0.85
    return window


def mel_weight_matrix() -> NDArray[np.float64]:
    """Triangular weights, linear in mel, from 20 Hz to 8 kHz: (256, 128)."""
    edges = np.linspace(_mel(LOW_HZ), _mel(SAMPLE_RATE / 2), MEL_BINS + 2)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    bins = _mel(np.arange(FFT_BINS, dtype=np.float64) * (SAMPLE_RATE / FFT_SIZE))[:, None]
    rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
    return np.maximum(0.0, np.minimum(rising, falling))


def _mel(frequency_hz: float | NDArray[np.float64]) -> NDArray[np.float64]:
    mel: NDArray[np.float64] = 1127.0 * np.log1p(np.asarray(frequency_hz) / 700.0)
    return mel
