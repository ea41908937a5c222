"""Iteration 1: a frozen random projection and codebook name the patches.

BEATs (arXiv 2212.09058), equation 1: the token of patch x is argmin_i |v_i - W x|^2, W and the
vectors v_i drawn once. Drawn on the CPU from the seed alone, so the seed and the sizes are the
whole tokenizer.
"""

import hashlib
import json
from dataclasses import dataclass
from math import sqrt
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from earshot_training.audio.fbank import Fbank, num_rows
from earshot_training.config import MEL_BINS, ConfigError, FbankStatistics, to_dict
from earshot_training.model.patch_embed import patchify
from earshot_training.tokenizer.tokenizer import to_token_grid

Norm = Literal["none", "layer_norm", "l2"]
NORMS: tuple[Norm, ...] = get_args(Norm)


@dataclass(frozen=True, kw_only=True)
class RandomProjectionConfig:
    """Sizes, normalisation and seed of a random-projection tokenizer."""

    norm: Norm = "layer_norm"
    """What keeps loudness from deciding the token. "none" is the paper's equation as written;
    "layer_norm" standardises the patch before and the vector after the projection (ESPnet);
    "l2" scales the projected vector and the code vectors to unit length (BEST-RQ)."""
    patch_size: int = 16
    codebook_size: int = 1024
    codebook_dim: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse sizes that no tokenizer can have."""
        for name in ("codebook_size", "codebook_dim"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.patch_size < 1 or MEL_BINS % self.patch_size:
            raise ConfigError(
                f"patch_size: expected a divisor of {MEL_BINS}, got {self.patch_size}"
            )


class RandomProjectionTokenizer(nn.Module):
    """Raw tiles -> token ids; nothing in it is trained.

    Buffers:
        projection (codebook_dim, patch_size ** 2): W, Xavier-normal.
        code_vectors (codebook_size, codebook_dim): standard normal; of unit length with "l2".
    """

    projection: Tensor
    code_vectors: Tensor

    def __init__(
        self,
        config: RandomProjectionConfig | None = None,
        *,
        statistics: FbankStatistics | None = None,
    ) -> None:
        super().__init__()
        self.config = config or RandomProjectionConfig()
        self.fbank = Fbank(statistics)
        projection, code_vectors = _draw(self.config)
        self.register_buffer("projection", projection)
        self.register_buffer("code_vectors", code_vectors)

    @property
    def codebook_size(self) -> int:
        """Token ids run from 0 to this, exclusive."""
        return self.config.codebook_size

    @property
    def bands(self) -> int:
        """Patches of one row of the patch grid."""
        return MEL_BINS // self.config.patch_size

    @property
    def statistics(self) -> FbankStatistics:
        """Normalisation of the fbank whose patches are named."""
        return self.fbank.statistics

    @property
    def sha256(self) -> str:
        """Hash of the recipe: equal on every machine, whatever the last bit of its logarithm."""
        recipe = {"tokenizer": to_dict(self.config), "fbank": to_dict(self.statistics)}
        return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()

    @torch.no_grad()
    def tokenize(self, waveforms: Tensor, num_samples: Tensor) -> Tensor:
        """(B, samples) in [-1, 1] at 16 kHz, (B,) -> (B, rows, bands) int64, 0 past the end."""
        return self.tokenize_fbank(
            self.fbank(waveforms), num_rows(num_samples, self.config.patch_size)
        )

    @torch.no_grad()
    def tokenize_fbank(self, fbank: Tensor, num_rows: Tensor) -> Tensor:
        """(B, frames, 128) normalised, (B,) valid rows -> (B, rows, bands) int64."""
        token_ids = self.name_patches(patchify(fbank, self.config.patch_size))
        return to_token_grid(token_ids, num_rows, bands=self.bands)

    @torch.no_grad()
    def name_patches(self, patches: Tensor) -> Tensor:
        """(B, N, patch_size ** 2) fbank values of patches -> (B, N) int64.

        By |c|^2 - 2 c.x: the table of differences would take (B, N, codes, dims).
        """
        with torch.autocast(patches.device.type, enabled=False):
            vectors = self._project(patches.float())
            code_norms = self.code_vectors.square().sum(dim=-1)
            return (code_norms - 2 * vectors @ self.code_vectors.T).argmin(dim=-1)

    def _project(self, patches: Tensor) -> Tensor:
        if self.config.norm == "layer_norm":
            standardised = functional.layer_norm(patches, patches.shape[-1:])
            vectors = standardised @ self.projection.T
            return functional.layer_norm(vectors, vectors.shape[-1:])
        vectors = patches @ self.projection.T
        return functional.normalize(vectors, dim=-1) if self.config.norm == "l2" else vectors


def _draw(config: RandomProjectionConfig) -> tuple[Tensor, Tensor]:
    """Drawn in float64 and rounded, because processors differ in the last bit of a draw."""
    generator = torch.Generator().manual_seed(config.seed)
    patch_values = config.patch_size**2
    xavier = sqrt(2 / (patch_values + config.codebook_dim))
    shapes = ((config.codebook_dim, patch_values), (config.codebook_size, config.codebook_dim))
    projection, code_vectors = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes
    )
    if config.norm == "l2":
        code_vectors = functional.normalize(code_vectors, dim=-1)
    return (projection * xavier).float(), code_vectors.float()
