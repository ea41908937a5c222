"""Cuts and rotations by whole rows: the fbank moves along, exactly."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from earshot_training.audio.fbank import Fbank, num_rows
from earshot_training.data.row_alignment import AlignedClip, crop_rows, roll_rows, trim_to_rows
from earshot_training.tokenizer.random_projection import RandomProjectionTokenizer
from tests.goldens import cases


def clip_with_tokens() -> AlignedClip:
    case = cases()["clip_3s_odd"]  # 48123 samples: no whole number of anything
    tokens = RandomProjectionTokenizer().tokenize(case.waveform, case.num_samples)[0]
    return trim_to_rows(case.waveform[0].numpy(), tokens.numpy())


def rows_of(waveform: np.ndarray) -> torch.Tensor:
    fbank = Fbank()(torch.from_numpy(waveform)[None])[0]
    rows = num_rows(len(waveform))
    return fbank[: 16 * rows].reshape(rows, 16, 128)


def test_trimming_leaves_every_row():
    waveform = cases()["clip_3s_odd"].waveform[0].numpy()
    clip = clip_with_tokens()
    assert len(clip.waveform) == num_rows(len(waveform)) * 2560 + 240 <= len(waveform)
    assert_close(rows_of(clip.waveform), rows_of(waveform), atol=1e-4, rtol=0)


def test_a_crop_has_the_rows_and_tokens_of_its_place():
    clip = clip_with_tokens()
    cropped = crop_rows(clip, first_row=5, rows=7)
    assert num_rows(len(cropped.waveform)) == len(cropped.tokens) == 7
    assert_close(rows_of(cropped.waveform), rows_of(clip.waveform)[5:12], atol=1e-4, rtol=0)
    assert np.array_equal(cropped.tokens, clip.tokens[5:12])


@pytest.mark.parametrize("shift", [0, 1, 7, 17, 18])
def test_a_roll_moves_rows_and_tokens_and_touches_one_row_alone(shift):
    clip = clip_with_tokens()
    rows = len(clip.tokens)
    assert rows == 18
    rolled = roll_rows(clip, shift)
    assert len(rolled.waveform) == len(clip.waveform)
    expected = rows_of(clip.waveform).roll(shift, dims=0)
    found = rows_of(rolled.waveform)
    seam = (shift - 1) % rows
    untouched = [row for row in range(rows) if row != seam or shift % rows == 0]
    assert_close(found[untouched], expected[untouched], atol=1e-4, rtol=0)
    assert_close(found[seam, :14], expected[seam, :14], atol=1e-4, rtol=0)
    assert np.array_equal(rolled.tokens, np.roll(clip.tokens, shift, axis=0))


def test_rolled_tokens_are_those_of_the_rolled_clip():
    clip = clip_with_tokens()
    rolled = roll_rows(clip, 4)
    waveform = torch.from_numpy(rolled.waveform)[None]
    made = RandomProjectionTokenizer().tokenize(waveform, torch.tensor([waveform.shape[1]]))[0]
    untouched = [row for row in range(len(rolled.tokens)) if row != 3]
    assert np.array_equal(made.numpy()[untouched], rolled.tokens[untouched])


def test_tokens_of_another_length_are_refused():
    clip = clip_with_tokens()
    with pytest.raises(ValueError, match="tokens of 18 rows, got 17"):
        trim_to_rows(clip.waveform, clip.tokens[:17])
