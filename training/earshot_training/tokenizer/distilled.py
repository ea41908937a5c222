"""Later iterations: an encoder of its own, a codebook, and in training an estimator of a teacher.

BEATs (arXiv 2212.09058), section 3.2; shapes of the head from the released `beats/Tokenizers.py`.
"""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from earshot_training.audio.fbank import Fbank, num_rows
from earshot_training.config import EncoderConfig, FbankStatistics, to_dict
from earshot_training.model.beats import Beats
from earshot_training.model.block_stack import BlockStack
from earshot_training.model.fingerprint import network_sha256
from earshot_training.tokenizer.codebook import Codebook, CodebookConfig
from earshot_training.tokenizer.tokenizer import to_token_grid


@dataclass(frozen=True, kw_only=True)
class DistilledTokenizerConfig:
    """Shape of the encoder and size of the codebook."""

    encoder: EncoderConfig
    codebook: CodebookConfig = field(default_factory=CodebookConfig)


class TokenizerOutput(NamedTuple):
    """What the tokenizer makes of a batch; N patches."""

    token_ids: Tensor  # (B, N) int64, 0 at padding
    quantized: Tensor  # (B, N, codebook_dim) unit code vectors, zero at padding
    patch_padding: Tensor  # (B, N), True = padding, not audio
    commitment_loss: Tensor  # scalar: mean over valid patches of the summed squared distance
    metrics: dict[str, Tensor]


class DistilledTokenizer(nn.Module):
    """Patches -> encoder -> head -> nearest code vector."""

    def __init__(
        self, config: DistilledTokenizerConfig, *, statistics: FbankStatistics | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.encoder = Beats(config.encoder, statistics=statistics)
        dim = config.encoder.dim
        self.head = nn.Sequential(
            nn.Linear(dim, dim), nn.Tanh(), nn.Linear(dim, config.codebook.codebook_dim)
        )
        self.codebook = Codebook(config.codebook)

    @property
    def codebook_size(self) -> int:
        """Token ids run from 0 to this, exclusive."""
        return self.config.codebook.codebook_size

    @property
    def bands(self) -> int:
        """Patches of one row of the patch grid."""
        return self.config.encoder.bands

    @property
    def statistics(self) -> FbankStatistics:
        """Normalisation of the fbank that the encoder takes."""
        return self.encoder.statistics

    @property
    def fbank(self) -> Fbank:
        """The front end with those statistics."""
        return self.encoder.fbank

    @property
    def sha256(self) -> str:
        """Hash of sizes, fbank statistics, weights and codes."""
        recipe = {"tokenizer": to_dict(self.config), "fbank": to_dict(self.statistics)}
        return network_sha256(self, recipe)

    def forward(self, fbank: Tensor, num_rows: Tensor) -> TokenizerOutput:
        """Name and quantise: (B, frames, 128) normalised, (B,) valid rows.

        In training mode the codebook moves towards the batch.
        """
        vectors, patch_padding = self.patch_vectors(fbank, num_rows)
        is_valid = ~patch_padding
        output = self.codebook(vectors[is_valid])
        token_ids = output.token_ids.new_zeros(is_valid.shape)
        quantized = output.quantized.new_zeros(*is_valid.shape, output.quantized.shape[-1])
        return TokenizerOutput(
            token_ids.masked_scatter(is_valid, output.token_ids),
            quantized.masked_scatter(is_valid.unsqueeze(-1), output.quantized),
            patch_padding,
            output.commitment_loss,
            output.metrics,
        )

    def patch_vectors(self, fbank: Tensor, num_rows: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors to quantise: -> ((B, N, codebook_dim), (B, N) True = padding, not audio)."""
        encoded = self.encoder.forward_fbank(fbank, num_rows)
        return self.head(encoded.patch_vectors), encoded.patch_padding

    @torch.no_grad()
    def tokenize(self, waveforms: Tensor, num_samples: Tensor) -> Tensor:
        """(B, samples) in [-1, 1] at 16 kHz, (B,) -> (B, rows, bands) int64, 0 past the end."""
        rows = num_rows(num_samples, self.config.encoder.patch_size)
        return self.tokenize_fbank(self.fbank(waveforms), rows)

    @torch.no_grad()
    def tokenize_fbank(self, fbank: Tensor, num_rows: Tensor) -> Tensor:
        """(B, frames, 128) normalised, (B,) valid rows -> (B, rows, bands) int64.

        Raises:
            RuntimeError: in training mode, where dropout decides and the codebook moves.

        """
        if self.training:
            raise RuntimeError("expected a tokenizer in evaluation mode: call eval() first")
        token_ids = self.forward(fbank, num_rows).token_ids
        return to_token_grid(token_ids, num_rows, bands=self.bands)


class Estimator(nn.Module):
    """Predicts from quantised patches what the teacher says of them; used in training only.

    Linear to the encoder's width, blocks of the encoder's kind, LayerNorm. A last Linear leads to
    the target where its width is another: it is left out, as in the paper, when teacher and
    tokenizer are equally wide.
    """

    def __init__(
        self, config: DistilledTokenizerConfig, *, layers: int, target_dim: int | None
    ) -> None:
        """`target_dim` None: the blocks' own vectors are the estimate."""
        super().__init__()
        dim = config.encoder.dim
        self.from_codes = nn.Linear(config.codebook.codebook_dim, dim)
        self.blocks = BlockStack(replace(config.encoder, layers=layers, layer_drop=0.0))
        self.to_target = nn.Identity() if target_dim is None else nn.Linear(dim, target_dim)

    def forward(self, quantized: Tensor, patch_padding: Tensor) -> Tensor:
        """Estimate per patch: (B, N, codebook_dim), (B, N) True = padding -> (B, N, target_dim)."""
        estimate: Tensor = self.to_target(self.patch_vectors(quantized, patch_padding))
        return estimate

    def of_clip(self, quantized: Tensor, patch_padding: Tensor) -> Tensor:
        """Estimate per clip, from the mean over its valid patches: -> (B, target_dim)."""
        is_valid = (~patch_padding).unsqueeze(-1)
        vectors = self.patch_vectors(quantized, patch_padding).float().masked_fill(~is_valid, 0.0)
        means = vectors.sum(dim=1) / is_valid.sum(dim=1).clamp(min=1)
        estimate: Tensor = self.to_target(means)
        return estimate

    def patch_vectors(self, quantized: Tensor, patch_padding: Tensor) -> Tensor:
        """Before the last Linear: -> (B, N, encoder dim)."""
        vectors: Tensor = self.blocks(self.from_codes(quantized), patch_padding)
        return vectors
