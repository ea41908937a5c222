"""Which clips a run without labels learns from, and how they become batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from earshot_training.config import ConfigError, FbankStatistics
from earshot_training.data.clip_waveforms import ClipWaveforms, WaveformCache
from earshot_training.data.manifest import Clip, in_folds, read_manifest, without_recordings_of
from earshot_training.data.readable import leave_out_unreadable
from earshot_training.data.sampler import ClipSampler
from earshot_training.data.token_batches import StoredTokens, TokenBatches
from earshot_training.data.token_store import TokenStore

MOST_ROWS = 512
"""81.9 s, the longest sequence that an encoder takes."""


@dataclass(frozen=True, kw_only=True)
class UnlabelledDataConfig:
    """Which clips are learnt from, and how they are cut. Never balanced: that would use labels."""

    manifest: Path
    """In a config file relative to that file."""
    folds: tuple[int, ...] = ()
    """Folds to learn from; none named: all clips that are not held out."""
    held_out_folds: tuple[int, ...] = ()
    """Folds that nothing is learnt from, nor from other clips of their recordings, for the scores
    of a pre-training run."""
    batch_size: int = 32
    max_rows: int = 62
    """Longer clips are cropped, at a random row, to so many rows of 160 ms; 62 are 10 s."""
    roll: bool = True
    """Rotate clips that are not cropped by a random number of rows."""
    cache: WaveformCache = "int16"

    def __post_init__(self) -> None:
        """Refuse batches and crops without content, and folds that are both learnt and held out."""
        if self.batch_size < 1:
            raise ConfigError(f"batch_size: expected at least 1, got {self.batch_size}")
        if not 1 <= self.max_rows <= MOST_ROWS:
            raise ConfigError(f"max_rows: expected 1 to {MOST_ROWS}, got {self.max_rows}")
        both = sorted(set(self.folds) & set(self.held_out_folds))
        if both:
            raise ConfigError(f"held_out_folds: expected none of folds, got {both} in both")


class UnlabelledClips(NamedTuple):
    """Clips of a run by what they are for, and where they stand in the manifest."""

    manifest: tuple[Clip, ...]
    train: tuple[int, ...]
    """Indices of the clips to learn from."""
    held_out: tuple[int, ...]
    faults: tuple[str, ...] = ()
    """Of clips whose files cannot be opened; they are in neither, nor are other clips of the
    recordings that are held out."""

    def of(self, indices: Sequence[int]) -> tuple[Clip, ...]:
        """Look up clips by their indices in the manifest."""
        return tuple(self.manifest[index] for index in indices)


def read_unlabelled_clips(config: UnlabelledDataConfig) -> UnlabelledClips:
    """Read the manifest and divide it; clips that cannot be opened are left out.

    Raises:
        UserError: no usable manifest, or a fold that it does not have.

    """
    manifest = read_manifest(config.manifest)
    for folds in (config.folds, config.held_out_folds):
        in_folds(manifest, folds)
    readable, faults = leave_out_unreadable(manifest)
    readable_paths = {clip.path for clip in readable}
    held_out_clips = in_folds(manifest, config.held_out_folds) if config.held_out_folds else ()
    held_out_paths = {clip.path for clip in held_out_clips}
    learnable_paths = {clip.path for clip in without_recordings_of(manifest, held_out_clips)}
    train, held_out = [], []
    for index, clip in enumerate(manifest):
        if clip.path not in readable_paths:
            continue
        if clip.path in held_out_paths:
            held_out.append(index)
        elif clip.path in learnable_paths and (not config.folds or clip.fold in config.folds):
            train.append(index)
    return UnlabelledClips(manifest, tuple(train), tuple(held_out), faults)


def open_tokens(folder: Path, clips: UnlabelledClips, *, statistics: FbankStatistics) -> TokenStore:
    """Open the tokens of the whole manifest.

    Raises:
        UserError: no token store, or one of another manifest or fbank.

    """
    store = TokenStore(folder)
    store.assert_fits(clips=clips.manifest, statistics=statistics)
    return store


def create_token_batches(
    config: UnlabelledDataConfig,
    clips: UnlabelledClips,
    *,
    seed: int,
    store: TokenStore | None = None,
) -> TokenBatches:
    """Make the endless source of training batches, with tokens if there is a store."""
    return TokenBatches(
        _waveforms_of(clips.of(clips.train), config.cache),
        ClipSampler(len(clips.train), config.batch_size, seed=seed),
        seed=seed,
        max_rows=config.max_rows,
        is_rolled=config.roll,
        tokens=None if store is None else StoredTokens(store, clips.train),
    )


@lru_cache(maxsize=1)
def _waveforms_of(clips: tuple[Clip, ...], cache: WaveformCache) -> ClipWaveforms:
    """Keep the last list's waveforms: who trains on it again need not decode it again."""
    return ClipWaveforms(clips, cache=cache)
