"""Fbank to patch embeddings."""

from torch import Tensor, nn

from earshot_training.audio.fbank import PATCH_FRAMES
from earshot_training.config import MEL_BINS, EncoderConfig


def patch_grid(num_rows: int, patch_size: int = PATCH_FRAMES) -> tuple[int, int]:
    """Shape (rows, bands) of the patch grid over so many rows: (62, 8) for 10 s."""
    return num_rows, MEL_BINS // patch_size


def patchify(fbank: Tensor, patch_size: int) -> Tensor:
    """Cut the fbank into tiles: (B, frames, 128) -> (B, rows * bands, patch_size ** 2).

    The values of a tile are in (frame, mel bin) order; frames after the last whole row are cut off.
    """
    rows, bands = fbank.shape[1] // patch_size, MEL_BINS // patch_size
    if fbank.ndim != 3 or fbank.shape[2] != MEL_BINS or rows < 1:
        raise ValueError(
            f"Expected fbank (batch, frames >= {patch_size}, {MEL_BINS}), got {tuple(fbank.shape)}"
        )
    tiles = fbank[:, : rows * patch_size].reshape(-1, rows, patch_size, bands, patch_size)
    return tiles.transpose(2, 3).reshape(-1, rows * bands, patch_size**2)


class PatchEmbed(nn.Module):
    """Cut the fbank into tiles and project each: (B, frames, 128) -> (B, N, D).

    Patches are in time-major order: patch = bands * row + band, band 0 lowest. Frames after the
    last whole row are left out. As in the released code, there is a second projection only where
    the width of the patch embedding differs from the encoder's.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.patch_size, self.bands = config.patch_size, config.bands
        # A convolution whose stride equals its kernel, as one product over the tile's values.
        self.tile = nn.Linear(config.patch_size**2, config.patch_dim, bias=False)
        self.norm = nn.LayerNorm(config.patch_dim)
        has_projection = config.patch_dim != config.dim
        self.project = nn.Linear(config.patch_dim, config.dim) if has_projection else nn.Identity()

    def patchify(self, fbank: Tensor) -> Tensor:
        """Cut into tiles: (B, frames, 128) -> (B, rows * bands, patch_size ** 2)."""
        return patchify(fbank, self.patch_size)

    def forward(self, tiles: Tensor) -> Tensor:
        """Embed tiles, all or a selection: (B, K, patch_size ** 2) -> (B, K, D)."""
        embeddings: Tensor = self.project(self.norm(self.tile(tiles)))
        return embeddings
