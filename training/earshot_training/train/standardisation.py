"""Features brought to mean 0 and deviation 1, so that one l2 suits them all."""

from typing import NamedTuple

import torch
from torch import Tensor


class Standardisation(NamedTuple):
    """What was taken from features, and what they were multiplied with."""

    mean: Tensor
    scale: Tensor
    """1 / standard deviation; 0 of a constant feature, which says nothing: it becomes 0, not noise
    blown up."""

    def apply(self, features: Tensor) -> Tensor:
        """Standardise features of the same kind, be they others."""
        return (features - self.mean) * self.scale


def standardisation_of(features: Tensor) -> Standardisation:
    """Mean and scale over the clips: (..., clips, D) -> (..., 1, D) each."""
    deviation = features.std(dim=-2, keepdim=True, correction=0)
    scale = torch.where(deviation > 1e-8, 1 / deviation.clamp(min=1e-8), 0.0)
    return Standardisation(features.mean(dim=-2, keepdim=True), scale)
