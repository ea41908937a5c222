"""Files of the released BEATs code: read without running anything that is in them."""

import hashlib
import math
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from earshot_training.errors import UserError

EXPECTED = "a checkpoint of the released BEATs code (a dict of 'cfg' and 'model')"

PICKLED_CLASS = re.compile(r"GLOBAL ([\w.]+)")


@dataclass(frozen=True, kw_only=True)
class ReleasedCheckpoint:
    """What a file holds, not yet checked against any model."""

    path: Path
    cfg: Mapping[str, Any]
    state: Mapping[str, Tensor]
    label_dict: object
    """Class index to label; None in a checkpoint that was not fine-tuned."""
    sha256: str

    @property
    def provenance(self) -> dict[str, Any]:
        """Which file it was, for the card of what is made from it."""
        return {
            "file": self.path.name,
            "bytes": self.path.stat().st_size,
            "sha256": self.sha256,
            "cfg": {key: value for key, value in self.cfg.items() if _is_scalar(value)},
        }


def read_released_checkpoint(path: Path) -> ReleasedCheckpoint:
    """Read a file; anything that is not such a checkpoint is a UserError that says what it is."""
    content = _load(path)
    if not isinstance(content, dict):
        raise _refusal(path, f"a {type(content).__name__}")
    if not {"cfg", "model"} <= content.keys():
        raise _refusal(path, f"a dict of {_named(content)}")
    cfg, state = content["cfg"], content["model"]
    if not isinstance(cfg, dict):
        raise _refusal(path, f"a cfg that is a {type(cfg).__name__}, not a dict")
    if not isinstance(state, dict) or not all(isinstance(w, Tensor) for w in state.values()):
        raise _refusal(path, "a model that is not a state dict of tensors")
    return ReleasedCheckpoint(
        path=path,
        cfg=cfg,
        state=state,
        label_dict=content.get("label_dict"),
        sha256=_sha256(path),
    )


@contextmanager
def errors_name(path: Path) -> Iterator[None]:
    """Put the file's name before what a UserError says of its content."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _load(path: Path) -> object:
    if not path.is_file():
        raise _refusal(path, "a folder" if path.is_dir() else "no such file")
    try:
        with warnings.catch_warnings():
            # About pickle protocols: of no help beside the one line that we say.
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # what torch.load raises depends on the bytes that it meets
        raise _refusal(path, _what_came(path, error)) from error


def _what_came(path: Path, error: Exception) -> str:
    """Say in few words what a file is that PyTorch does not load; its own texts fill a page."""
    if isinstance(error, OSError):
        return f"a file that cannot be read ({error.strerror})"
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        return "an empty file"
    if head.isascii() and b"\0" not in head and not head.startswith(b"PK"):
        return "a text file"
    if isinstance(error, pickle.UnpicklingError) and (name := PICKLED_CLASS.search(str(error))):
        return f"a pickle with more than tensors and plain values ({name.group(1)})"
    if head.startswith(b"PK"):
        if not zipfile.is_zipfile(path):
            return "a zip archive that is cut short or damaged"
        with zipfile.ZipFile(path) as archive:
            if not any(member.endswith("/data.pkl") for member in archive.namelist()):
                return "a zip archive of other files"
    return "a file that PyTorch cannot read as tensors and plain values"


def _named(content: Mapping[Any, object], most: int = 4) -> str:
    names = [repr(key) for key in content]
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{rest}" if names else "nothing"


def _refusal(path: Path, came: str) -> UserError:
    return UserError(f"{path}: expected {EXPECTED}, got {came}")


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
