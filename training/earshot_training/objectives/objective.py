"""What the training loop knows of an objective and of a batch, and nothing more."""

from typing import NamedTuple, Protocol, Self, TypeVar

import torch
from torch import Tensor, nn

from earshot_training.model.beats import Beats


class StepResult(NamedTuple):
    """Loss of one batch."""

    loss: Tensor
    """Scalar, to be minimised."""
    metrics: dict[str, Tensor]
    """Scalars to log, by path (`loss/tagging`)."""


class TrainingBatch(Protocol):
    """Clips on some device."""

    @property
    def num_clips(self) -> int:
        """How many."""

    @property
    def audio_seconds(self) -> float:
        """Their length together."""

    def to(self, device: torch.device) -> Self:
        """Copy the batch to another device."""


BatchT = TypeVar("BatchT", bound=TrainingBatch, contravariant=True)


class Objective(Protocol[BatchT]):
    """A loss over batches, together with the module that it trains."""

    @property
    def module(self) -> nn.Module:
        """Holds every parameter to train."""

    def loss(self, batch: BatchT, generator: torch.Generator) -> StepResult:
        """Loss of one batch; everything random comes from the (CPU) generator."""


def seed_layer_drop(model: Beats, generator: torch.Generator) -> None:
    """Let the generator of a step decide which layers the step drops."""
    model.encoder.seed_layer_drop(int(torch.randint(2**62, (), generator=generator)))
