"""Batches of unlabelled clips: tokens stay with their patches, positions restore."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from earshot_training.audio.fbank import num_rows
from earshot_training.config import ConfigError
from earshot_training.data.token_batches import TokenBatch
from earshot_training.data.token_store import TokenStore
from earshot_training.data.unlabelled import (
    UnlabelledDataConfig,
    create_token_batches,
    read_unlabelled_clips,
)
from earshot_training.errors import UserError
from earshot_training.tokenizer.make_tokens import make_tokens
from earshot_training.tokenizer.random_projection import RandomProjectionTokenizer
from tests.made_clips import write_corpus


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> UnlabelledDataConfig:
    """24 clips of 3 to 5 rows, half of them in fold 1."""
    folder = tmp_path_factory.mktemp("token_batches")
    manifest = write_corpus(folder / "clips")
    return UnlabelledDataConfig(manifest=manifest, folds=(1,), batch_size=6)


@pytest.fixture(scope="module")
def store(config: UnlabelledDataConfig) -> TokenStore:
    folder = config.manifest.parent / "tokens"
    clips = read_unlabelled_clips(config).manifest
    make_tokens(RandomProjectionTokenizer(), clips, folder, device=torch.device("cpu"))
    return TokenStore(folder)


def make_batches(config: UnlabelledDataConfig, store: TokenStore | None, count: int):
    batches = create_token_batches(config, read_unlabelled_clips(config), seed=4, store=store)
    return [batches.next_batch() for _ in range(count)]


def rows_that_differ(batch: TokenBatch) -> Tensor:
    """(B,) how many rows' stored tokens are not those of the batch's own waveforms."""
    assert batch.tokens is not None
    made = RandomProjectionTokenizer().tokenize(batch.waveforms, batch.num_samples)
    assert made.shape == batch.tokens.shape
    return (made != batch.tokens).any(dim=2).sum(dim=1)


def test_tokens_roll_with_their_clips(config, store):
    plain = make_batches(replace(config, roll=False), store, 2)
    rolled = make_batches(config, store, 2)
    for batch, source in zip(rolled, plain, strict=True):
        assert not rows_that_differ(source).any()
        assert rows_that_differ(batch).max() <= 1  # the row that reads over the seam
        is_rolled = (batch.waveforms != source.waveforms).any(dim=1)
        assert is_rolled.sum() >= 2
        assert torch.equal(batch.num_samples, source.num_samples)


def test_tokens_are_cropped_with_their_clips(config, store):
    (batch,) = make_batches(replace(config, max_rows=2), store, 1)
    assert batch.waveforms.shape == (6, 2 * 2560 + 240)
    assert batch.tokens.shape == (6, 2, 8)
    assert not rows_that_differ(batch).any()


def test_a_restored_source_goes_on_exactly(config, store):
    clips = read_unlabelled_clips(config)
    first = create_token_batches(config, clips, seed=4, store=store)
    for _ in range(3):
        first.next_batch()
    second = create_token_batches(config, clips, seed=4, store=store)
    second.restore(first.position)
    for _ in range(3):
        for ours, theirs in zip(first.next_batch(), second.next_batch(), strict=True):
            assert torch.equal(ours, theirs)


def test_waveforms_do_not_depend_on_stored_tokens(config, store):
    for ours, theirs in zip(
        make_batches(config, store, 2), make_batches(config, None, 2), strict=True
    ):
        assert torch.equal(ours.waveforms, theirs.waveforms)
        assert theirs.tokens is None


def test_seconds_leave_padding_out(config):
    (batch,) = make_batches(config, None, 1)
    seconds = sum((2560 * num_rows(int(n)) + 240) / 16_000 for n in batch.num_samples)
    assert batch.num_clips == 6
    assert batch.audio_seconds == pytest.approx(seconds)


def test_folds_divide_the_manifest(config):
    clips = read_unlabelled_clips(replace(config, folds=(), held_out_folds=(2,)))
    assert {clip.fold for clip in clips.of(clips.train)} == {1}
    assert {clip.fold for clip in clips.of(clips.held_out)} == {2}
    assert sorted(clips.train + clips.held_out) == list(range(len(clips.manifest)))
    with pytest.raises(UserError, match=r"expected folds \[3\]"):
        read_unlabelled_clips(replace(config, held_out_folds=(3,)))


@pytest.mark.parametrize(
    "values", [{"batch_size": 0}, {"max_rows": 0}, {"max_rows": 513}, {"held_out_folds": (1,)}]
)
def test_impossible_settings_are_refused(values):
    with pytest.raises(ConfigError, match=next(iter(values))):
        UnlabelledDataConfig(manifest=Path("m.jsonl"), **({"folds": (1,)} | values))
