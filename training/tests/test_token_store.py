"""Tokens on disk: read back, refused when they are of something else."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from earshot_training.config import FbankStatistics
from earshot_training.data.clip_waveforms import ClipWaveforms
from earshot_training.data.manifest import Clip, read_manifest
from earshot_training.data.token_store import TokenStore, write_token_store
from earshot_training.errors import UserError
from earshot_training.tokenizer import make_tokens as make_tokens_module
from earshot_training.tokenizer.make_tokens import make_tokens
from earshot_training.tokenizer.random_projection import (
    RandomProjectionConfig,
    RandomProjectionTokenizer,
)
from tests.made_clips import write_corpus

STATISTICS = FbankStatistics()
GRIDS = [np.array([[0, 1, 2], [3, 4, 5]]), np.array([[9, 9, 9]]), np.array([[5, 4, 3]] * 4)]


def made_clips(count: int) -> tuple[Clip, ...]:
    return tuple(
        Clip(
            path=Path(f"clips/{index}.wav"),
            mids=(),
            class_name=None,
            fold=None,
            source="made",
            recording=str(index),
            seconds=1.0,
            license=None,
        )
        for index in range(count)
    )


def write(folder: Path, grids: list[np.ndarray] | None = None, **changes: object) -> None:
    arguments = {
        "clips": made_clips(3),
        "codebook_size": 10,
        "bands": 3,
        "statistics": STATISTICS,
        "tokenizer_sha256": "a" * 64,
    }
    write_token_store(folder, GRIDS if grids is None else grids, **(arguments | changes))


def test_tokens_come_back_by_clip(tmp_path: Path):
    write(tmp_path / "store")
    store = TokenStore(tmp_path / "store")
    assert len(store) == 3
    for index in (2, 0, 1):
        assert np.array_equal(store[index], GRIDS[index])
        assert store[index].dtype == np.int64
    assert store.header.num_tokens == 21
    expected = np.bincount(np.concatenate([grid.ravel() for grid in GRIDS]), minlength=10)
    assert np.array_equal(store.code_counts(), expected)
    with pytest.raises(IndexError, match="below 3"):
        store[3]


def test_ids_are_two_bytes_on_disk(tmp_path: Path):
    write(tmp_path / "store", [np.full((2, 3), 32_767), *GRIDS[1:]], codebook_size=32_768)
    assert (tmp_path / "store" / "tokens.i16").stat().st_size == 2 * 21
    assert (TokenStore(tmp_path / "store")[0] == 32_767).all()


def test_tokens_fit_only_their_clips_and_statistics(tmp_path: Path):
    write(tmp_path / "store")
    store = TokenStore(tmp_path / "store")
    moved = tuple(replace(clip, path=Path("/elsewhere") / clip.path.name) for clip in made_clips(3))
    store.assert_fits(clips=moved, statistics=replace(STATISTICS, mean=STATISTICS.mean + 5e-6))
    with pytest.raises(UserError, match="expected tokens made with fbank mean"):
        store.assert_fits(clips=moved, statistics=replace(STATISTICS, std=STATISTICS.std + 2e-5))
    for others in (made_clips(2), tuple(reversed(made_clips(3)))):
        with pytest.raises(UserError, match="tokens of this manifest"):
            store.assert_fits(clips=others, statistics=STATISTICS)


@pytest.mark.parametrize(
    ("grids", "changes", "message"),
    [
        (GRIDS[:2], {}, "expected 3 token grids, got 2"),
        ([*GRIDS[:2], np.array([[0, 10, 0]])], {}, r"clip 2: expected token ids in 0\.\.9"),
        ([*GRIDS[:2], np.array([[0, -1, 0]])], {}, r"clip 2: .* got -1\.\.0"),
        ([*GRIDS[:2], np.zeros((2, 4), int)], {}, r"clip 2: expected \(rows, 3\) tokens"),
        (GRIDS, {"codebook_size": 32_769}, "at most 32768 codes"),
    ],
)
def test_what_cannot_be_stored_leaves_nothing(tmp_path: Path, grids, changes, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "store", grids, **changes)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_store_is_not_overwritten(tmp_path: Path):
    write(tmp_path / "store")
    with pytest.raises(UserError, match="xpected a new folder"):
        write(tmp_path / "store")


def test_a_broken_store_is_refused(tmp_path: Path):
    write(tmp_path / "store")
    tokens = tmp_path / "store" / "tokens.i16"
    tokens.write_bytes(tokens.read_bytes()[:-2])
    with pytest.raises(UserError, match=r"tokens\.i16: expected 42 bytes, got 40"):
        TokenStore(tmp_path / "store")
    header = tmp_path / "store" / "header.json"
    header.write_text(json.dumps(json.loads(header.read_text()) | {"schema_version": 2}))
    with pytest.raises(UserError, match="expected schema 1, got 2"):
        TokenStore(tmp_path / "store")
    with pytest.raises(UserError, match="header of a token store"):
        TokenStore(tmp_path)


def test_made_tokens_are_those_of_each_clip_alone(tmp_path: Path):
    clips = read_manifest(write_corpus(tmp_path / "clips", clips_per_class=2))
    tokenizer = RandomProjectionTokenizer(RandomProjectionConfig(codebook_size=64))
    made = make_tokens(
        tokenizer, clips, tmp_path / "tokens", device=torch.device("cpu"), batch_size=4
    )
    store = TokenStore(tmp_path / "tokens")
    store.assert_fits(clips=clips, statistics=tokenizer.statistics)
    waveforms = ClipWaveforms(clips)
    for index in range(len(clips)):
        waveform = torch.from_numpy(waveforms[index])
        alone = tokenizer.tokenize(waveform[None], torch.tensor([len(waveform)]))[0]
        assert np.array_equal(store[index], alone.numpy())
    assert made.header.tokenizer_sha256 == tokenizer.sha256
    shares = store.code_counts() / store.code_counts().sum()
    entropy = -sum(share * np.log(share) for share in shares if share > 0)
    assert made.perplexity == pytest.approx(np.exp(entropy), rel=1e-6)
    assert made.codebook_usage == (shares > 0).mean()


def test_a_clip_beyond_the_encoders_reach_is_named_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    clips = read_manifest(write_corpus(tmp_path / "clips", clips_per_class=2))
    tokenizer = RandomProjectionTokenizer()
    device = torch.device("cpu")
    make_tokens(tokenizer, clips, tmp_path / "whole", device=device)
    monkeypatch.setattr(make_tokens_module, "MAX_PATCHES", 16)  # two rows a piece
    make_tokens(tokenizer, clips, tmp_path / "pieces", device=device)
    whole, pieces = TokenStore(tmp_path / "whole"), TokenStore(tmp_path / "pieces")
    # The random projection looks at single patches, so pieces must give the very same names.
    for index in range(len(clips)):
        assert np.array_equal(whole[index], pieces[index])
