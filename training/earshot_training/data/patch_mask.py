"""Which patches of a clip the encoder sees in masked-token prediction."""

from typing import NamedTuple

import torch
from torch import Tensor


class PatchMask(NamedTuple):
    """Kept and hidden patches of B clips on a grid of N patches."""

    kept: Tensor
    """(B, K) int64, ascending: patches that enter the encoder. A clip shorter than the longest of
    the batch fills its row up with patches of its padding, which the encoder leaves out."""
    hidden: Tensor
    """(H,) int64: the valid patches that are not kept, to be predicted, as places in the grid of
    the batch flattened to B * N."""


def num_kept(num_patches: int, hidden_ratio: float) -> int:
    """Patches kept of so many: the rounded share, at least one kept and one hidden."""
    return min(max(round((1 - hidden_ratio) * num_patches), 1), num_patches - 1)


def draw_patch_mask(
    num_rows: Tensor,
    *,
    bands: int = 8,
    hidden_ratio: float,
    generator: torch.Generator,
) -> PatchMask:
    """Hide a share of each clip's valid patches, drawn uniformly: (B,) valid rows -> masks.

    N is bands times the rows of the longest clip. Every clip keeps the same share of its own
    patches; clips of one length keep the same number. Drawn on the CPU, answered on the device of
    `num_rows`.
    """
    num_patches = (num_rows.cpu() * bands).unsqueeze(1)
    counts = torch.tensor([[num_kept(int(count), hidden_ratio)] for count in num_patches])
    patches = torch.arange(int(num_patches.max()))
    is_valid = patches < num_patches
    draws = torch.rand(is_valid.shape, generator=generator).masked_fill(~is_valid, 2.0)
    slots = torch.arange(int(counts.max()))
    fill = num_patches + slots - counts
    kept = torch.where(slots < counts, draws.argsort(dim=1)[:, : len(slots)], fill)
    kept = kept.sort(dim=1).values
    is_hidden = is_valid.scatter(1, kept, torch.zeros_like(kept, dtype=torch.bool))
    hidden = is_hidden.flatten().nonzero().squeeze(1)
    return PatchMask(kept.to(num_rows.device), hidden.to(num_rows.device))
