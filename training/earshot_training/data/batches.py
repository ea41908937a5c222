"""A data set and a sampler as an endless source of batches."""

from collections.abc import Callable
from functools import partial

import torch

from earshot_training.data.collate import Batch, collate
from earshot_training.data.dataset import ClipDataset, Example
from earshot_training.data.sampler import ClipSampler, SamplerPosition, mix_seed


class ClipBatches:
    """Batches of clips, in the sampler's order.

    Args:
        dataset: the clips.
        sampler: says which come next.
        max_samples: a longer clip gives a random piece of this length, before it is padded: one
            long clip would make a whole batch as long as itself.
        seed: of the pieces; they follow from it and from the position.

    """

    def __init__(
        self, dataset: ClipDataset, sampler: ClipSampler, *, max_samples: int, seed: int
    ) -> None:
        self._dataset = dataset
        self._sampler = sampler
        self._max_samples = max_samples
        self._seed = seed

    @property
    def position(self) -> SamplerPosition:
        """Of the batch that comes next."""
        return self._sampler.position

    def restore(self, position: SamplerPosition) -> None:
        """Continue from a position."""
        self._sampler.restore(position)

    def draw(self) -> Callable[[], Batch]:
        """Take the next batch's turn; its clips are read, on the CPU, by calling the answer."""
        position = self.position
        seed = mix_seed(self._seed, position["epoch"], position["batch"])
        return partial(self._read, self._sampler.next_batch(), seed)

    def next_batch(self) -> Batch:
        """Draw and read the next batch."""
        return self.draw()()

    def _read(self, indices: list[int], seed: int) -> Batch:
        generator = torch.Generator().manual_seed(seed)
        return collate(
            [crop(self._dataset[index], generator, self._max_samples) for index in indices]
        )


def crop(example: Example, generator: torch.Generator, max_samples: int) -> Example:
    """Take a random piece of `max_samples` from a longer clip."""
    spare = len(example.waveform) - max_samples
    if spare <= 0:
        return example
    start = int(torch.randint(spare + 1, (), generator=generator))
    return example._replace(waveform=example.waveform[start : start + max_samples])
