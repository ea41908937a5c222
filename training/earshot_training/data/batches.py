"""A data set and a sampler as an endless source of batches."""

from collections.abc import Callable
from functools import partial

from earshot_training.data.collate import Batch, collate
from earshot_training.data.dataset import ClipDataset
from earshot_training.data.sampler import ClipSampler, SamplerPosition


class ClipBatches:
    """Batches of clips, in the sampler's order."""

    def __init__(self, dataset: ClipDataset, sampler: ClipSampler) -> None:
        self._dataset = dataset
        self._sampler = sampler

    @property
    def position(self) -> SamplerPosition:
        """Of the batch that comes next."""
        return self._sampler.position

    def restore(self, position: SamplerPosition) -> None:
        """Continue from a position."""
        self._sampler.restore(position)

    def draw(self) -> Callable[[], Batch]:
        """Take the next batch's turn; its clips are read, on the CPU, by calling the answer."""
        return partial(self._read, self._sampler.next_batch())

    def next_batch(self) -> Batch:
        """Draw and read the next batch."""
        return self.draw()()

    def _read(self, indices: list[int]) -> Batch:
        return collate([self._dataset[index] for index in indices])
