"""Batches of unlabelled clips, with their stored tokens if there are any."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from earshot_training.audio.fbank import SAMPLE_RATE
from earshot_training.data.clip_waveforms import ClipWaveforms
from earshot_training.data.row_alignment import (
    SAMPLES_PER_ROW,
    AlignedClip,
    crop_rows,
    roll_rows,
    trim_to_rows,
)
from earshot_training.data.sampler import ClipSampler, SamplerPosition, mix_seed
from earshot_training.data.token_store import TokenStore


class TokenBatch(NamedTuple):
    """Clips that are trained on together."""

    waveforms: Tensor
    """(B, samples) float32, zero past each clip's own length."""
    num_samples: Tensor
    """(B,) int64, each clip's own length."""
    tokens: Tensor | None
    """(B, rows, bands) int64, 0 past each clip's own end; None: to be made from the waveforms."""

    @property
    def num_clips(self) -> int:
        """How many clips."""
        return len(self.waveforms)

    @property
    def audio_seconds(self) -> float:
        """Length of all clips together, padding left out."""
        return int(self.num_samples.sum()) / SAMPLE_RATE

    def to(self, device: torch.device) -> "TokenBatch":
        """Move the batch to another device."""
        moved = (None if part is None else part.to(device, non_blocking=True) for part in self)
        return TokenBatch(*moved)  # type: ignore[arg-type]  # only the tokens may be None

    def pin_memory(self) -> "TokenBatch":
        """Copy the batch to memory that a card reads while the processor goes on."""
        pinned = (None if part is None else part.pin_memory() for part in self)
        return TokenBatch(*pinned)  # type: ignore[arg-type]  # only the tokens may be None


class StoredTokens(NamedTuple):
    """Tokens of the clips of a run, which may be a part of the manifest that was tokenised."""

    store: TokenStore
    indices: Sequence[int]
    """Clip i of the run is clip indices[i] of the store."""


class TokenBatches:
    """The training loop's endless source: the sampler's clips, cropped or rolled by whole rows.

    What is drawn follows from seed and position alone, so a restored source continues exactly.

    Args:
        waveforms: of the clips.
        sampler: which clips form a batch.
        seed: of crops and rolls.
        max_rows: longer clips are cropped to so many rows at a random place.
        is_rolled: rotate clips that are not cropped by a random number of rows.
        tokens: of the clips; None: batches bring none.

    """

    def __init__(
        self,
        waveforms: ClipWaveforms,
        sampler: ClipSampler,
        *,
        seed: int,
        max_rows: int,
        is_rolled: bool,
        tokens: StoredTokens | None = None,
    ) -> None:
        if tokens is not None and len(tokens.indices) != len(waveforms):
            raise ValueError(
                f"expected tokens of {len(waveforms)} clips, got {len(tokens.indices)}"
            )
        self._waveforms = waveforms
        self._sampler = sampler
        self._seed = seed
        self._max_rows = max_rows
        self._is_rolled = is_rolled
        self._tokens = tokens

    @property
    def position(self) -> SamplerPosition:
        """Of the batch that comes next."""
        return self._sampler.position

    def restore(self, position: SamplerPosition) -> None:
        """Continue from a position."""
        self._sampler.restore(position)

    def draw(self) -> Callable[[], TokenBatch]:
        """Take the next batch's turn; its clips are read, on the CPU, by calling the answer."""
        indices = self._sampler.next_batch()
        position = self._sampler.position
        seed = mix_seed(self._seed, position["epoch"], position["batch"])
        return partial(self._read, indices, seed)

    def next_batch(self) -> TokenBatch:
        """Draw and read the next batch."""
        return self.draw()()

    def _read(self, indices: list[int], seed: int) -> TokenBatch:
        generator = torch.Generator().manual_seed(seed)
        return collate_aligned([self._clip(index, generator) for index in indices])

    def _clip(self, index: int, generator: torch.Generator) -> AlignedClip:
        tokens = None
        if self._tokens is not None:
            tokens = self._tokens.store[self._tokens.indices[index]]
        clip = trim_to_rows(self._waveforms[index], tokens)
        rows = len(clip.waveform) // SAMPLES_PER_ROW
        if rows > self._max_rows:
            first_row = _draw(rows - self._max_rows + 1, generator)
            return crop_rows(clip, first_row=first_row, rows=self._max_rows)
        return roll_rows(clip, _draw(rows, generator)) if self._is_rolled else clip


def collate_aligned(clips: Sequence[AlignedClip]) -> TokenBatch:
    """Pad waveforms and tokens with zeros to the longest; all clips bring tokens or none does."""
    num_samples = torch.tensor([len(clip.waveform) for clip in clips])
    waveforms = _pad([torch.from_numpy(clip.waveform) for clip in clips])
    tokens = [torch.from_numpy(clip.tokens) for clip in clips if clip.tokens is not None]
    return TokenBatch(waveforms, num_samples, _pad(tokens) if tokens else None)


def _pad(parts: list[Tensor]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(parts, batch_first=True)


def _draw(below: int, generator: torch.Generator) -> int:
    return int(torch.randint(below, (), generator=generator))
