"""What every tokenizer offers, and the grid that its tokens form."""

from typing import Protocol

import torch
from torch import Tensor

from earshot_training.audio.fbank import Fbank
from earshot_training.config import FbankStatistics


class Tokenizer(Protocol):
    """Gives every patch of a clip one of `codebook_size` names."""

    @property
    def codebook_size(self) -> int:
        """Token ids run from 0 to this, exclusive."""

    @property
    def bands(self) -> int:
        """Patches of one row of the patch grid."""

    @property
    def statistics(self) -> FbankStatistics:
        """Normalisation of the fbank that the tokenizer looks at."""

    @property
    def sha256(self) -> str:
        """Hash of all that decides the token ids."""

    @property
    def fbank(self) -> Fbank:
        """The front end with those statistics."""

    def tokenize_fbank(self, fbank: Tensor, num_rows: Tensor) -> Tensor:
        """(B, frames, 128) normalised, (B,) valid rows -> (B, rows, bands) int64, as `tokenize`."""

    def tokenize(self, waveforms: Tensor, num_samples: Tensor) -> Tensor:
        """(B, samples) in [-1, 1] at 16 kHz, (B,) valid lengths -> (B, rows, bands) int64.

        Rows past a clip's own end are 0 and count nowhere.
        """


def to_token_grid(token_ids: Tensor, num_rows: Tensor, *, bands: int) -> Tensor:
    """(B, N) of the patches, (B,) valid rows -> (B, rows, bands), 0 past a clip's own end."""
    grid = token_ids.reshape(len(token_ids), -1, bands)
    rows = torch.arange(grid.shape[1], device=grid.device)
    is_past_end = rows >= num_rows.unsqueeze(1)
    return grid.masked_fill(is_past_end.unsqueeze(2), 0)
