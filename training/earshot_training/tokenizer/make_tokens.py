"""Name every patch of a manifest once, and store the names."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from earshot_training.audio.fbank import num_rows
from earshot_training.data.clip_waveforms import ClipWaveforms
from earshot_training.data.manifest import Clip
from earshot_training.data.row_alignment import AlignedClip, crop_rows, trim_to_rows
from earshot_training.data.token_batches import collate_aligned
from earshot_training.data.token_store import TokenStore, TokenStoreHeader, write_token_store
from earshot_training.model.attention import MAX_PATCHES
from earshot_training.tokenizer.code_usage import code_usage
from earshot_training.tokenizer.tokenizer import Tokenizer


class TokensMade(NamedTuple):
    """A token store as it was written, and how evenly it uses the codes."""

    header: TokenStoreHeader
    codebook_usage: float
    """Share of the codes that are in use."""
    perplexity: float
    """exp of the codes' entropy, between 1 and the codebook's size."""


def make_tokens(
    tokenizer: Tokenizer,
    clips: Sequence[Clip],
    folder: Path,
    *,
    device: torch.device,
    batch_size: int = 16,
    say: Callable[[str], None] = lambda _: None,
) -> TokensMade:
    """Tokenise whole clips, in their order, into a new token store.

    A clip longer than 81.9 s, the most that an encoder takes, is named in pieces of that length.

    Args:
        tokenizer: on the device, in evaluation mode.
        clips: the whole manifest.
        folder: of the store; it appears when all tokens are written.
        device: where the tokenizer lies.
        batch_size: clips named together.
        say: told of the progress, every hundred batches.

    Raises:
        UserError: the folder exists, or a clip cannot be read.

    """
    header = write_token_store(
        folder,
        _token_grids(tokenizer, clips, device=device, batch_size=batch_size, say=say),
        clips=clips,
        codebook_size=tokenizer.codebook_size,
        bands=tokenizer.bands,
        statistics=tokenizer.statistics,
        tokenizer_sha256=tokenizer.sha256,
    )
    usage = code_usage(torch.from_numpy(TokenStore(folder).code_counts()).double())
    return TokensMade(header, float(usage.usage), float(usage.perplexity))


def _token_grids(
    tokenizer: Tokenizer,
    clips: Sequence[Clip],
    *,
    device: torch.device,
    batch_size: int,
    say: Callable[[str], None],
) -> Iterator[npt.NDArray[np.int16]]:
    waveforms = ClipWaveforms(clips)
    max_rows = MAX_PATCHES // tokenizer.bands
    for start in range(0, len(clips), batch_size):
        if start and start % (100 * batch_size) == 0:
            say(f"{start} of {len(clips)} clips tokenised")
        batch = range(start, min(start + batch_size, len(clips)))
        pieces = [_split(trim_to_rows(waveforms[index], None), max_rows) for index in batch]
        grids = iter(_tokenize([piece for clip in pieces for piece in clip], tokenizer, device))
        for clip in pieces:
            yield np.concatenate([next(grids) for _ in clip])


def _split(clip: AlignedClip, max_rows: int) -> list[AlignedClip]:
    rows = num_rows(len(clip.waveform))
    return [
        crop_rows(clip, first_row=first, rows=min(max_rows, rows - first))
        for first in range(0, rows, max_rows)
    ]


def _tokenize(
    pieces: Sequence[AlignedClip], tokenizer: Tokenizer, device: torch.device
) -> list[npt.NDArray[np.int16]]:
    batch = collate_aligned(pieces).to(device)
    tokens = tokenizer.tokenize(batch.waveforms, batch.num_samples).cpu().numpy().astype(np.int16)
    rows = num_rows(batch.num_samples).tolist()
    return [grid[:count] for grid, count in zip(tokens, rows, strict=True)]
