"""One objective in many processes: their gradients are averaged while they are computed."""

from contextlib import AbstractContextManager, nullcontext
from typing import Generic, TypeVar

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from earshot_training.objectives.objective import Objective, StepResult, TrainingBatch
from earshot_training.processes import num_processes

BatchT = TypeVar("BatchT", bound=TrainingBatch)


class _Loss(nn.Module, Generic[BatchT]):
    """An objective as a module, which is what DistributedDataParallel wraps."""

    def __init__(self, objective: Objective[BatchT]) -> None:
        super().__init__()
        self.trained = objective.module
        self._objective = objective

    def forward(self, batch: BatchT, generator: torch.Generator) -> StepResult:
        return self._objective.loss(batch, generator)


class ParallelLoss(Generic[BatchT]):
    """Loss and gradients of an objective; with many processes the mean of their gradients.

    Each process may drop other layers, so parameters without a part in a loss are looked for.
    Buffers are left to their owners: the codebook keeps its own equal.
    """

    def __init__(self, objective: Objective[BatchT]) -> None:
        loss = _Loss(objective)
        self._parallel = (
            DistributedDataParallel(loss, find_unused_parameters=True, broadcast_buffers=False)
            if num_processes() > 1
            else None
        )
        self._loss = self._parallel or loss

    def add_gradients(
        self,
        batch: BatchT,
        generator: torch.Generator,
        *,
        divisor: int,
        is_last: bool,
        autocast: torch.autocast,
    ) -> StepResult:
        """Add the gradients of a batch, divided, to those that are there; returns its loss.

        Processes exchange what they have added up once, with the last batch of a step.
        """
        with self._exchange(is_last=is_last):
            with autocast:
                result: StepResult = self._loss(batch, generator)
            torch.autograd.backward(result.loss / divisor)
        return result

    def _exchange(self, *, is_last: bool) -> AbstractContextManager[None]:
        if self._parallel is None or is_last:
            return nullcontext()
        return self._parallel.no_sync()
