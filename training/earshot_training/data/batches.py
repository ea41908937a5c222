"""A data set and a sampler as the training loop's endless source of batches."""

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

    def next_batch(self) -> Batch:
        """Read the next batch, on the CPU."""
        return collate([self._dataset[index] for index in self._sampler.next_batch()])
