"""A process's share of a source's batches, read by threads ahead of the training loop."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

import torch

from earshot_training.data.sampler import SamplerPosition
from earshot_training.processes import num_processes, process_rank


class PinnableBatch(Protocol):
    """A batch on the CPU."""

    def pin_memory(self) -> Self:
        """Copy the batch to memory that a card reads while the processor goes on."""


BatchT = TypeVar("BatchT", bound=PinnableBatch)
BatchT_co = TypeVar("BatchT_co", bound=PinnableBatch, covariant=True)


class DrawnBatches(Protocol[BatchT_co]):
    """Endless batches: which clips is decided in order, reading them may come later."""

    @property
    def position(self) -> SamplerPosition:
        """Of the batch that comes next."""

    def restore(self, position: SamplerPosition) -> None:
        """Continue from a position."""

    def draw(self) -> Callable[[], BatchT_co]:
        """Take the next batch's turn; called from any thread, the answer reads it."""


class _Reading(NamedTuple, Generic[BatchT]):
    """A batch on its way."""

    position: SamplerPosition
    """Of the source before this round was drawn."""
    result: Callable[[], BatchT]


class BatchFeed(Generic[BatchT]):
    """The loop's source: of N processes, process r takes the batches r, r + N, r + 2N, ...

    All processes draw the same order and stand at the same position, so that every round has a
    batch for each of them. Batches do not depend on how many threads read them.

    Args:
        source: the batches of all processes.
        workers: threads that read ahead, two batches each; 0 reads when asked. Decoding,
            resampling and copying leave Python's lock, so threads suffice and share one cache.
        device: pinned memory for a card.

    """

    def __init__(
        self, source: DrawnBatches[BatchT], *, workers: int = 0, device: torch.device
    ) -> None:
        if workers < 0:
            raise ValueError(f"expected workers of at least 0, got {workers}")
        self._source = source
        self._is_pinned = device.type == "cuda"
        self._executor = ThreadPoolExecutor(workers, "read-batch") if workers else None
        self._read_ahead = 2 * workers
        self._readings: deque[_Reading[BatchT]] = deque()

    @property
    def position(self) -> SamplerPosition:
        """Of the round of batches that comes next, one for each process."""
        return self._readings[0].position if self._readings else self._source.position

    def restore(self, position: SamplerPosition) -> None:
        """Continue from a position."""
        self._readings.clear()
        self._source.restore(position)

    def next_batch(self) -> BatchT:
        """Answer this process's batch of the next round, on the CPU."""
        while len(self._readings) <= self._read_ahead:
            self._readings.append(self._begin())
        return self._readings.popleft().result()

    def _begin(self) -> _Reading[BatchT]:
        position = self._source.position
        drawn = [self._source.draw() for _ in range(num_processes())][process_rank()]
        if self._executor is None:
            return _Reading(position, lambda: self._pinned(drawn()))
        future = self._executor.submit(lambda: self._pinned(drawn()))
        return _Reading(position, future.result)

    def _pinned(self, batch: BatchT) -> BatchT:
        return batch.pin_memory() if self._is_pinned else batch
