"""Token ids of a whole manifest on disk: made once per iteration, read by clip index.

A store is a folder of three files, all little-endian:
    header.json     what the tokens are of and made by, see `TokenStoreHeader`
    tokens.i16      the ids of all clips, one after the other, row by row, band 0 first
    offsets.i64     clips + 1 positions in tokens.i16, counted in ids
Both arrays are memory-mapped: opening a store of two million clips reads the header alone.
"""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earshot_training.atomic_folder import atomic_folder
from earshot_training.config import ConfigError, FbankStatistics, parse_section, to_dict
from earshot_training.data.manifest import Clip
from earshot_training.errors import UserError

SCHEMA_VERSION = 1
MAX_CODEBOOK_SIZE = 2**15
STATISTICS_TOLERANCE = 1e-5
"""Tokens made under other fbank statistics name other patches."""

TokenGrid = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, kw_only=True)
class TokenStoreHeader:
    """What a token store holds."""

    schema_version: int = SCHEMA_VERSION
    num_clips: int
    num_tokens: int
    codebook_size: int
    bands: int
    """Patches of one row of the grid."""
    fbank: FbankStatistics
    tokenizer_sha256: str
    clips_sha256: str
    """Of the list of clips in its order, by `clip_order_sha256`."""


class TokenStore:
    """`store[i]` is the token grid of clip i of the manifest."""

    def __init__(self, folder: Path) -> None:
        """Open a store.

        Raises:
            UserError: no store, one of another schema, or arrays of another length than it says.

        """
        self.header = _read_header(folder)
        self._offsets = _map(folder / "offsets.i64", "<i8", self.header.num_clips + 1)
        self._tokens = _map(folder / "tokens.i16", "<i2", self.header.num_tokens)

    def __len__(self) -> int:
        return self.header.num_clips

    def __getitem__(self, index: int) -> npt.NDArray[np.int64]:
        """(rows, bands) of one clip."""
        if not 0 <= index < len(self):
            raise IndexError(f"expected a clip index below {len(self)}, got {index}")
        start, end = int(self._offsets[index]), int(self._offsets[index + 1])
        flat: npt.NDArray[np.int64] = self._tokens[start:end].astype(np.int64)
        return flat.reshape(-1, self.header.bands)

    def assert_fits(self, *, clips: Sequence[Clip], statistics: FbankStatistics) -> None:
        """Refuse tokens of another list of clips or of another fbank.

        Raises:
            UserError: says which of the two differs.

        """
        stored = self.header.fbank
        difference = max(abs(stored.mean - statistics.mean), abs(stored.std - statistics.std))
        if difference > STATISTICS_TOLERANCE:
            raise UserError(
                f"expected tokens made with fbank mean {statistics.mean} and std {statistics.std}, "
                f"got {stored.mean} and {stored.std}"
            )
        if self.header.clips_sha256 != clip_order_sha256(clips):
            raise UserError(
                f"expected the tokens of this manifest ({len(clips)} clips), "
                f"got those of another list ({len(self)} clips)"
            )

    def code_counts(self) -> npt.NDArray[np.int64]:
        """(codebook_size,) how often each token id occurs in the whole store."""
        counts = np.zeros(self.header.codebook_size, dtype=np.int64)
        for start in range(0, self.header.num_tokens, 2**24):
            block = self._tokens[start : start + 2**24]
            counts += np.bincount(block, minlength=len(counts))
        return counts


def write_token_store(
    folder: Path,
    grids: Iterable[TokenGrid],
    *,
    clips: Sequence[Clip],
    codebook_size: int,
    bands: int,
    statistics: FbankStatistics,
    tokenizer_sha256: str,
) -> TokenStoreHeader:
    """Write one (rows, bands) grid per clip, in the order of the clips; the folder appears whole.

    Raises:
        UserError: the folder exists, or the codebook is too large for int16.
        ValueError: the grids are not as many as the clips, or hold ids outside the codebook.

    """
    if codebook_size > MAX_CODEBOOK_SIZE:
        raise UserError(f"expected at most {MAX_CODEBOOK_SIZE} codes, got {codebook_size}")
    with atomic_folder(folder) as fresh:
        offsets = _write_tokens(fresh / "tokens.i16", grids, codebook_size, bands)
        if len(offsets) != len(clips) + 1:
            raise ValueError(f"expected {len(clips)} token grids, got {len(offsets) - 1}")
        np.asarray(offsets, dtype="<i8").tofile(fresh / "offsets.i64")
        header = TokenStoreHeader(
            num_clips=len(clips),
            num_tokens=offsets[-1],
            codebook_size=codebook_size,
            bands=bands,
            fbank=statistics,
            tokenizer_sha256=tokenizer_sha256,
            clips_sha256=clip_order_sha256(clips),
        )
        text = json.dumps(to_dict(header), indent=2) + "\n"
        (fresh / "header.json").write_text(text, encoding="utf-8")
    return header


def clip_order_sha256(clips: Iterable[Clip]) -> str:
    """Hash of a list of clips in its order, wherever the files lie on disk."""
    names = (f"{clip.source}/{clip.recording}/{clip.path.stem}" for clip in clips)
    return sha256("\n".join(names).encode()).hexdigest()


def _write_tokens(
    path: Path, grids: Iterable[TokenGrid], codebook_size: int, bands: int
) -> list[int]:
    offsets = [0]
    with path.open("wb") as file:
        for index, grid in enumerate(grids):
            if grid.ndim != 2 or grid.shape[1] != bands or not len(grid):
                raise ValueError(f"clip {index}: expected (rows, {bands}) tokens, got {grid.shape}")
            if grid.min() < 0 or grid.max() >= codebook_size:
                raise ValueError(
                    f"clip {index}: expected token ids in 0..{codebook_size - 1}, "
                    f"got {grid.min()}..{grid.max()}"
                )
            file.write(grid.astype("<i2").tobytes())
            offsets.append(offsets[-1] + grid.size)
        file.flush()
        os.fsync(file.fileno())
    return offsets


def _read_header(folder: Path) -> TokenStoreHeader:
    path = folder / "header.json"
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        header = parse_section(TokenStoreHeader, table, complete=True)
    except (OSError, json.JSONDecodeError, ConfigError) as error:
        raise UserError(f"{path}: expected the header of a token store, got: {error}") from error
    if header.schema_version != SCHEMA_VERSION:
        raise UserError(f"{path}: expected schema {SCHEMA_VERSION}, got {header.schema_version}")
    return header


def _map(path: Path, dtype: str, length: int) -> npt.NDArray[Any]:
    expected_bytes = length * np.dtype(dtype).itemsize
    found_bytes = path.stat().st_size if path.exists() else 0
    if found_bytes != expected_bytes:
        raise UserError(f"{path}: expected {expected_bytes} bytes, got {found_bytes}")
    return np.memmap(path, dtype=dtype, mode="r", shape=(length,))
