"""The folded fbank against the written-out formula in float64 and against golden values."""

import numpy as np
import pytest
import torch

from earshot_training.audio.fbank import Fbank, num_frames, num_rows
from earshot_training.config import FbankStatistics
from tests.goldens import Case, cases, tolerance


def kaldi_fbank(waveform: np.ndarray) -> np.ndarray:
    """Kaldi's steps one by one, in float64: (samples,) -> log-mel (frames, 128)."""
    samples = waveform.astype(np.float64) * 2**15
    starts = range(0, len(samples) - 399, 160)
    frames = np.stack([samples[start : start + 400] for start in starts])
    frames = frames - frames.mean(axis=1, keepdims=True)
    emphasised = frames.copy()
    emphasised[:, 1:] -= 0.97 * frames[:, :-1]
    emphasised[:, 0] -= 0.97 * frames[:, 0]
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)) ** 0.85
    power = np.abs(np.fft.rfft(emphasised * window, n=512)) ** 2
    return np.log(np.maximum(power @ mel_triangles().T, 1.1920929e-07))


def mel_triangles() -> np.ndarray:
    """128 triangles over the 257 bins, drawn one by one; the Nyquist bin has no weight."""
    low, high = (1127 * np.log(1 + hertz / 700) for hertz in (20, 8000))
    step = (high - low) / 129
    weights = np.zeros((128, 257))
    for band in range(128):
        left, centre, right = (low + step * (band + edge) for edge in range(3))
        for fft_bin in range(256):
            mel = 1127 * np.log(1 + fft_bin * 16000 / 512 / 700)
            if left < mel <= centre:
                weights[band, fft_bin] = (mel - left) / (centre - left)
            elif centre < mel < right:
                weights[band, fft_bin] = (right - mel) / (right - centre)
    return weights


def test_equals_the_golden_values(case: Case) -> None:
    fbank = Fbank()(case.waveform)[0]
    torch.testing.assert_close(fbank, case.fbank, atol=tolerance(case.name).fbank, rtol=0)


@pytest.mark.parametrize("name", ["noise_3s", "clip_5s_b", "clip_min_2800"])
def test_equals_the_formula_in_float64(name: str) -> None:
    statistics = FbankStatistics(mean=11.72215, std=10.60431)
    waveform = cases()[name].waveform
    expected = (kaldi_fbank(waveform[0].numpy()) - statistics.mean) / (2 * statistics.std)
    fbank = Fbank(statistics)(waveform)[0].double()
    torch.testing.assert_close(fbank, torch.from_numpy(expected), atol=1e-5, rtol=0)


def test_silence_is_the_floor() -> None:
    fbank = Fbank()(torch.zeros(1, 1600))
    torch.testing.assert_close(fbank, torch.full((1, 8, 128), -2.391693), atol=1e-6, rtol=0)


def test_stays_float32_inside_autocast() -> None:
    waveform = cases()["clip_1s"].waveform
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = Fbank()(waveform)
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside, Fbank()(waveform), atol=0, rtol=0)


@pytest.mark.parametrize("shape", [(1, 399), (16000,), (1, 1, 16000)])
def test_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least 400 samples, got"):
        Fbank()(torch.zeros(shape))


def test_counts_frames_and_rows_as_the_fbank_has_them() -> None:
    lengths = [400, 559, 560, 2799, 2800, 5359, 5360, 16000, 160000]
    frames = [Fbank()(torch.zeros(1, length)).shape[1] for length in lengths]
    assert [num_frames(length) for length in lengths] == frames
    assert [num_rows(length) for length in lengths] == [count // 16 for count in frames]
    assert num_frames(torch.tensor(lengths)).tolist() == frames
    assert num_rows(torch.tensor(lengths)).tolist() == [count // 16 for count in frames]


def test_counts_nothing_in_less_than_a_frame() -> None:
    assert [num_frames(0), num_frames(239), num_frames(399)] == [0, 0, 0]
    assert num_frames(torch.tensor([0, 239, 399])).tolist() == [0, 0, 0]
