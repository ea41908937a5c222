"""Which clips form batch after batch, as a pure function of seed and position."""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from earshot_training.errors import UserError


class SamplerPosition(TypedDict):
    """Where a sampler stands."""

    epoch: int
    batch: int


class ClipSampler:
    """Endless seeded batches of clip indices.

    Unbalanced, an epoch is one shuffle of the list, the last incomplete batch left out. Balanced,
    it is as many draws with replacement by `clip_weights`. The order of an epoch depends on seed
    and epoch alone, so a restored position continues exactly.
    """

    def __init__(
        self,
        num_clips: int,
        batch_size: int,
        *,
        seed: int,
        clip_weights: Tensor | None = None,
    ) -> None:
        if num_clips < batch_size:
            raise UserError(f"expected at least {batch_size} clips for one batch, got {num_clips}")
        self._num_clips = num_clips
        self._batch_size = batch_size
        self._seed = seed
        self._clip_weights = clip_weights
        self._position = SamplerPosition(epoch=0, batch=0)
        self._order = self._order_of(epoch=0)

    @property
    def position(self) -> SamplerPosition:
        """Of the batch that comes next."""
        return SamplerPosition(**self._position)

    def restore(self, position: SamplerPosition) -> None:
        """Continue where another sampler of the same list, batch size and seed stood."""
        self._position = SamplerPosition(**position)
        self._order = self._order_of(epoch=position["epoch"])

    def next_batch(self) -> list[int]:
        """Draw the indices of the next batch."""
        start = self._position["batch"] * self._batch_size
        if start + self._batch_size > self._num_clips:
            self.restore(SamplerPosition(epoch=self._position["epoch"] + 1, batch=0))
            start = 0
        self._position["batch"] += 1
        indices: list[int] = self._order[start : start + self._batch_size].tolist()
        return indices

    def _order_of(self, *, epoch: int) -> Tensor:
        generator = torch.Generator().manual_seed(mix_seed(self._seed, epoch))
        if self._clip_weights is None:
            return torch.randperm(self._num_clips, generator=generator)
        return torch.multinomial(
            self._clip_weights, self._num_clips, replacement=True, generator=generator
        )


def mix_seed(*parts: int) -> int:
    """One 63-bit seed from several numbers, so that neighbours share nothing."""
    state = np.random.SeedSequence(parts).generate_state(1, np.uint64)[0]
    return int(state) >> 1


def balanced_clip_weights(targets: Tensor) -> Tensor:
    """(clips, labels) multi-hot -> (clips,) weights: a clip counts for its rare labels.

    Label weight 1000 / (positives + 0.01), clip weight the sum over its labels (the AudioSet
    practice of PSLA and AST). A clip without labels gets the mean weight, not zero.
    """
    label_weights = 1000.0 / (targets.sum(dim=0) + 0.01)
    weights = (targets * label_weights).sum(dim=1)
    unlabelled = weights == 0
    return torch.where(unlabelled, weights[~unlabelled].mean(), weights)


def group_clip_weights(groups: Sequence[Hashable]) -> Tensor:
    """(clips,) weights by which a group of n clips is drawn in proportion to the root of n."""
    sizes = Counter(groups)
    return torch.tensor([sizes[group] ** -0.5 for group in groups])
