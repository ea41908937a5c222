"""BEATs: waveform to patch vectors, embeddings and label logits."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from earshot_training.audio.fbank import Fbank, num_rows
from earshot_training.config import EncoderConfig, FbankStatistics
from earshot_training.model.convolutions import Convolutions
from earshot_training.model.encoder import Encoder, EncoderOutput, Positions
from earshot_training.model.patch_embed import PatchEmbed


class BeatsOutput(NamedTuple):
    """What the model makes of a batch; N patches, or the K kept ones.

    Embeddings are means of the encoder's D dimensions and, where the model has convolutions, of
    theirs behind: E in all.
    """

    patch_vectors: Tensor  # (B, N, D)
    patch_padding: Tensor  # (B, N), True = padding, not audio
    layer_vectors: list[Tensor]  # one (B, N, D) per layer when asked for, else empty
    row_embeddings: Tensor | None  # (B, rows, E), zero past a clip's end; None with kept patches
    clip_embedding: Tensor  # (B, E), mean over the valid patches
    row_logits: Tensor | None  # (B, rows, labels), zero past a clip's end
    clip_logits: Tensor | None  # (B, labels), the mean of the valid row_logits


class Beats(nn.Module):
    """BEATs encoder with the fbank in front and, with `num_labels`, a label predictor behind.

    With `config.convolution_width` a convolutional network hears the fbank beside the encoder. The
    predictor is linear in both, so that each label's logit is the sum of what the two say.
    """

    def __init__(
        self,
        config: EncoderConfig,
        *,
        num_labels: int = 0,
        statistics: FbankStatistics | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.num_labels = num_labels
        self.statistics = statistics or FbankStatistics()
        self.fbank = Fbank(self.statistics)
        self.patch_embed = PatchEmbed(config)
        self.encoder = Encoder(config)
        width = config.convolution_width
        self.convolutions = Convolutions(width) if width else None
        self.predictor = nn.Linear(config.embedding_dim, num_labels) if num_labels else None

    def forward(
        self,
        waveforms: Tensor,
        num_samples: Tensor,
        *,
        kept: Tensor | None = None,
        positions: Positions = "true",
        return_layers: bool = False,
    ) -> BeatsOutput:
        """Run on waveforms (B, samples) in [-1, 1] at 16 kHz with num_samples (B,) int64 valid."""
        rows = num_rows(num_samples, self.config.patch_size)
        return self.forward_fbank(
            self.fbank(waveforms),
            rows,
            kept=kept,
            positions=positions,
            return_layers=return_layers,
        )

    def forward_fbank(
        self,
        fbank: Tensor,
        num_rows: Tensor,
        *,
        kept: Tensor | None = None,
        positions: Positions = "true",
        return_layers: bool = False,
    ) -> BeatsOutput:
        """Run on a normalised fbank (B, frames, 128) with num_rows (B,) int64 rows of audio.

        `kept` (B, K) int64 names the patches of each clip that enter the encoder; where a clip has
        fewer than K, fill up with patches of its padding. With positions 'true' they get the
        positions they have in the clip, with 'compact' those they would have if they were all of
        it.
        """
        tiles = self.patch_embed.patchify(fbank)
        num_patches = tiles.shape[1]
        patch_padding = self._patch_padding(num_patches, num_rows)
        if kept is not None:
            tiles = _select(tiles, kept)
            patch_padding = patch_padding.gather(1, kept)
        encoded = self.encoder(
            self.patch_embed(tiles),
            patch_padding,
            kept=kept if positions == "true" else None,
            num_patches=num_patches,
            return_layers=return_layers,
        )
        convolved = self._convolve(fbank, num_rows, kept)
        return self._pool(encoded, patch_padding, convolved, kept is None)

    def _convolve(self, fbank: Tensor, num_rows: Tensor, kept: Tensor | None) -> Tensor | None:
        """Give what the convolutions say of the patches, of all or of the kept ones."""
        if self.convolutions is None:
            return None
        vectors: Tensor = self.convolutions(fbank, num_rows)
        return vectors if kept is None else _select(vectors, kept)

    def _patch_padding(self, num_patches: int, num_rows: Tensor) -> Tensor:
        patch_rows = torch.arange(num_patches, device=num_rows.device) // self.config.bands
        return patch_rows >= num_rows.unsqueeze(1)

    def _pool(
        self,
        encoded: EncoderOutput,
        patch_padding: Tensor,
        convolved: Tensor | None,
        has_rows: bool,
    ) -> BeatsOutput:
        valid = (~patch_padding).unsqueeze(-1)
        vectors = encoded.patch_vectors.float()
        if convolved is not None:
            vectors = torch.cat([vectors, convolved.float()], dim=2)
        vectors = vectors.masked_fill(~valid, 0.0)
        clip_embedding = vectors.sum(dim=1) / valid.sum(dim=1).clamp(min=1)
        row_embeddings = row_logits = clip_logits = None
        if has_rows:
            row_embeddings = _row_means(vectors, self.config.bands)
        if self.predictor is not None:
            # In float32, also inside autocast: means over patches differ from clip to clip by less
            # than bfloat16 can tell.
            with torch.autocast(vectors.device.type, enabled=False):
                clip_logits = self.predictor(clip_embedding)
                if row_embeddings is not None:
                    row_padding = patch_padding[:, :: self.config.bands].unsqueeze(-1)
                    row_logits = self.predictor(row_embeddings).masked_fill(row_padding, 0.0)
        return BeatsOutput(
            encoded.patch_vectors,
            patch_padding,
            encoded.layer_vectors,
            row_embeddings,
            clip_embedding,
            row_logits,
            clip_logits,
        )


def _select(patches: Tensor, kept: Tensor) -> Tensor:
    """Patches (B, N, D) that are named by `kept` (B, K) -> (B, K, D)."""
    return patches.gather(1, kept.unsqueeze(-1).expand(-1, -1, patches.shape[2]))


def _row_means(vectors: Tensor, bands: int) -> Tensor:
    """Mean over the bands of each row: (B, rows * bands, D) -> (B, rows, D)."""
    return vectors.view(vectors.shape[0], -1, bands, vectors.shape[2]).mean(dim=2)
