"""The network of masked-token prediction: a BEATs encoder and a token predictor over it."""

import torch
from torch import Tensor, nn

from earshot_training.model.beats import Beats
from earshot_training.model.encoder import Positions
from earshot_training.model.predictor import PredictorConfig, TokenPredictor


class MaskedTokenModel(nn.Module):
    """Encodes the kept patches of a clip and predicts the tokens of others.

    Args:
        encoder: what pre-training is for; without labels.
        predictor: depth of the token predictor.
        codebook_size: tokens to tell apart.

    """

    def __init__(self, encoder: Beats, *, predictor: PredictorConfig, codebook_size: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.token_predictor = TokenPredictor(
            predictor, encoder=encoder.config, codebook_size=codebook_size
        )

    def forward(
        self,
        fbank: Tensor,
        num_rows: Tensor,
        *,
        kept: Tensor,
        asked: Tensor,
        positions: Positions = "true",
    ) -> Tensor:
        """Token logits at the asked places: (A, codebook_size).

        Args:
            fbank: (B, frames, 128), normalised.
            num_rows: (B,) int64 rows of audio.
            kept: (B, K) int64, the only patches that the encoder sees.
            asked: (A,) int64, places in the grid of the batch flattened to B * N.
            positions: of the kept patches in the encoder; the predictor knows the true ones.

        """
        encoded = self.encoder.forward_fbank(fbank, num_rows, kept=kept, positions=positions)
        bands = self.encoder.config.bands
        num_patches = fbank.shape[1] // self.encoder.config.patch_size * bands
        patch_rows = torch.arange(num_patches, device=fbank.device) // bands
        patch_padding = patch_rows >= num_rows.unsqueeze(1)
        logits: Tensor = self.token_predictor(
            encoded.patch_vectors, kept, patch_padding=patch_padding, asked=asked
        )
        return logits
