"""Reading clips, batches of mixed lengths, and a sampler that resumes exactly."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from earshot_training.audio.waveform import AudioError, read_waveform
from earshot_training.data.batches import ClipBatches
from earshot_training.data.collate import collate
from earshot_training.data.dataset import ClipDataset
from earshot_training.data.manifest import read_manifest
from earshot_training.data.sampler import ClipSampler
from earshot_training.data.targets import create_targets
from earshot_training.errors import UserError
from tests.made_clips import BARK, DOG, RAIN, SIREN, write_corpus

CLIPS_FOLDER = Path(__file__).parents[2] / "test" / "fixtures" / "clips"
REAL_CLIPS = sorted(
    path for path in CLIPS_FOLDER.iterdir() if path.suffix in (".wav", ".flac", ".ogg")
)


def make_dataset(folder: Path, cache: str) -> ClipDataset:
    manifest = folder / "manifest.jsonl"
    clips = read_manifest(manifest if manifest.exists() else write_corpus(folder))
    targets = create_targets(clips, [DOG, BARK, RAIN, SIREN], negative_weight=1.0)
    return ClipDataset(clips, targets, cache=cache)


def test_every_cache_gives_the_file_itself(tmp_path: Path):
    datasets = [make_dataset(tmp_path / "clips", cache) for cache in ("none", "int16", "float32")]
    plain, *cached = datasets
    for index in range(len(plain)):
        for dataset in cached:
            for _ in range(2):
                torch.testing.assert_close(
                    dataset[index].waveform, plain[index].waveform, atol=0, rtol=0
                )


def test_a_batch_holds_each_clip_and_zeros_after_it(tmp_path: Path):
    dataset = make_dataset(tmp_path / "clips", "int16")
    examples = [dataset[index] for index in (0, 3, 9)]
    batch = collate(examples)
    assert batch.num_samples.tolist() == [8_000, 14_000, 10_000]
    assert batch.waveforms.shape == (3, 14_000)
    for row, example in enumerate(examples):
        length = len(example.waveform)
        assert torch.equal(batch.waveforms[row, :length], example.waveform)
        assert not batch.waveforms[row, length:].any()
    assert batch.targets.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0]]
    assert batch.audio_seconds == 2.0


def test_an_epoch_is_one_shuffle_of_the_list():
    sampler = ClipSampler(10, 3, seed=5)
    epochs = [[sampler.next_batch() for _ in range(3)] for _ in range(4)]
    for epoch in epochs:
        seen = [index for batch in epoch for index in batch]
        assert len(set(seen)) == 9
        assert set(seen) <= set(range(10))
    assert len({str(epoch) for epoch in epochs}) == 4
    assert sampler.position == {"epoch": 3, "batch": 3}


@pytest.mark.parametrize("done", [0, 2, 3, 7])
def test_a_restored_sampler_goes_on_exactly(done: int):
    whole = ClipSampler(10, 3, seed=5)
    for _ in range(done):
        whole.next_batch()
    resumed = ClipSampler(10, 3, seed=5)
    resumed.restore(whole.position)
    assert [resumed.next_batch() for _ in range(8)] == [whole.next_batch() for _ in range(8)]
    other = ClipSampler(10, 3, seed=6)
    other.restore(whole.position)
    assert [other.next_batch() for _ in range(8)] != [resumed.next_batch() for _ in range(8)]


def test_balanced_draws_follow_the_weights():
    weights = torch.tensor([3.0, 1.0, 0.0, 0.0])
    sampler = ClipSampler(4, 4, seed=0, clip_weights=weights)
    drawn = Counter(index for _ in range(1000) for index in sampler.next_batch())
    assert set(drawn) == {0, 1}
    assert abs(drawn[0] / 4000 - 0.75) < 0.03


def test_too_few_clips_for_a_batch_are_refused():
    with pytest.raises(UserError, match="expected at least 4 clips for one batch, got 3"):
        ClipSampler(3, 4, seed=0)


def test_batches_come_in_the_samplers_order(tmp_path: Path):
    dataset = make_dataset(tmp_path / "clips", "none")
    batches = ClipBatches(
        dataset, ClipSampler(len(dataset), 4, seed=1), max_samples=1_000_000, seed=1
    )
    order = ClipSampler(len(dataset), 4, seed=1)
    expected = collate([dataset[index] for index in order.next_batch()])
    for part, wanted in zip(batches.next_batch(), expected, strict=True):
        assert torch.equal(part, wanted)
    assert batches.position == order.position


def test_a_long_clip_gives_a_random_piece_before_it_is_padded(tmp_path: Path):
    dataset = make_dataset(tmp_path / "clips", "none")
    order = ClipSampler(len(dataset), 4, seed=1)

    def batches(seed: int) -> ClipBatches:
        sampler = ClipSampler(len(dataset), 4, seed=1)
        return ClipBatches(dataset, sampler, max_samples=9_000, seed=seed)

    first, again, other = batches(1), batches(1), batches(2)
    starts = []
    for _ in range(2):
        again.restore(first.position)
        batch = first.next_batch()
        assert batch.waveforms.shape[1] <= 9_000
        assert torch.equal(batch.waveforms, again.next_batch().waveforms)
        for row, index in enumerate(order.next_batch()):
            whole = dataset[index].waveform
            assert batch.num_samples[row] == min(len(whole), 9_000)
            piece = batch.waveforms[row, : batch.num_samples[row]]
            windows = whole.unfold(0, len(piece), 1)
            starts += (windows == piece).all(dim=1).nonzero()[:1, 0].tolist()
        assert not torch.equal(batch.waveforms, other.next_batch().waveforms)
    assert len(starts) == 8
    assert len(set(starts)) > 2


def test_channels_are_averaged_and_rates_converted(tmp_path: Path):
    rate_hz, seconds, tone_hz = 44_100, 0.5, 1_000
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    left = 0.8 * np.sin(2 * np.pi * tone_hz * time)
    path = tmp_path / "tone.wav"
    soundfile.write(path, np.stack([left, np.zeros_like(left)], 1), rate_hz, subtype="FLOAT")
    waveform = read_waveform(path)
    assert waveform.dtype == np.float32
    assert len(waveform) == 8_000
    expected = 0.4 * np.sin(2 * np.pi * tone_hz * np.arange(8_000) / 16_000)
    middle = slice(1_000, 7_000)
    np.testing.assert_allclose(waveform[middle], expected[middle], atol=1e-4)


def test_what_is_no_clip_is_refused_by_name(tmp_path: Path):
    path = tmp_path / "clip.wav"
    with pytest.raises(AudioError, match="expected an audio file"):
        read_waveform(path)
    path.write_bytes(b"RIFF, but not audio")
    with pytest.raises(AudioError, match="expected an audio file"):
        read_waveform(path)
    soundfile.write(path, np.zeros(2_799), 16_000)
    with pytest.raises(AudioError, match=r"at least 2800 samples at 16 kHz .*, got 2799"):
        read_waveform(path)
    soundfile.write(path, np.full(4_000, np.nan), 16_000, subtype="FLOAT")
    with pytest.raises(AudioError, match="expected finite samples"):
        read_waveform(path)


@pytest.mark.parametrize("path", REAL_CLIPS, ids=lambda path: path.name)
def test_real_clips_are_read(path: Path):
    expected = soundfile.info(path).duration * 16_000
    waveform = read_waveform(path)
    assert abs(len(waveform) - expected) <= 1
    assert 0.001 < np.abs(waveform).max() <= 1.5
