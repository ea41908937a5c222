"""Spherical k-means: unit vectors -> unit centres, by cosine."""

import torch
from torch import Tensor
from torch.nn import functional

BLOCK_VECTORS = 16_384
"""Vectors compared with all centres at once: bounds the similarity matrix (64 MB at 1024)."""


@torch.no_grad()
def spherical_kmeans(
    vectors: Tensor, num_centres: int, *, seed: int, rounds: int = 10
) -> tuple[Tensor, Tensor]:
    """(M, D) unit vectors -> ((K, D) unit centres, (K,) members of each in the last round).

    Starts at K different vectors; a cluster left empty keeps its centre (the released code).
    """
    order = torch.randperm(len(vectors), generator=torch.Generator().manual_seed(seed))
    centres = vectors[order[:num_centres].to(vectors.device)].clone()
    counts = vectors.new_zeros(num_centres)
    for _ in range(rounds):
        nearest = _nearest_centres(vectors, centres)
        counts = torch.bincount(nearest, minlength=num_centres).to(vectors.dtype)
        sums = torch.zeros_like(centres).index_add_(0, nearest, vectors)
        means = functional.normalize(sums, dim=-1)
        centres = torch.where((counts > 0).unsqueeze(1), means, centres)
    return centres, counts


def _nearest_centres(vectors: Tensor, centres: Tensor) -> Tensor:
    blocks = [(block @ centres.T).argmax(dim=1) for block in torch.split(vectors, BLOCK_VECTORS)]
    return torch.cat(blocks)
