"""How evenly a corpus uses the codes of a codebook."""

from typing import NamedTuple

import torch
from torch import Tensor

MIN_USAGE = 1e-5
"""A code is in use when at least this share of the patches carries it."""


class CodeUsage(NamedTuple):
    """Statistics of a code distribution; scalars on the device of the counts."""

    usage: Tensor
    """Share of the codes that are in use."""
    entropy: Tensor
    """In nats: what guessing by frequency alone scores as cross-entropy."""
    perplexity: Tensor
    """exp(entropy), between 1 and the number of codes."""


def count_codes(token_ids: Tensor, codebook_size: int) -> Tensor:
    """Any shape of int64 -> (codebook_size,) float32 members per code.

    By scatter_add, because bincount makes a GPU wait for its own largest value.
    """
    flat = token_ids.flatten()
    counts = torch.zeros(codebook_size, device=flat.device)
    return counts.scatter_add_(0, flat, torch.ones_like(flat, dtype=torch.float32))


def code_usage(counts: Tensor) -> CodeUsage:
    """(codebook_size,) members per code -> usage, entropy, perplexity."""
    shares = counts / counts.sum().clamp(min=1)
    entropy = -torch.xlogy(shares, shares).sum()
    usage = (shares >= MIN_USAGE).to(counts.dtype).mean()
    return CodeUsage(usage=usage, entropy=entropy, perplexity=entropy.exp())
