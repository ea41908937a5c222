"""Results of a probe on disk: scores.json for people, clips.npz to pair and to draw from."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from earshot_training.atomic_folder import atomic_folder
from earshot_training.errors import UserError
from earshot_training.json_file import write_json
from earshot_training.probe.probe import ProbeClips, ProbeResult, to_scores

SCORES_FILE = "scores.json"
CLIPS_FILE = "clips.npz"


class ProbedClips(NamedTuple):
    """What a probe found clip by clip."""

    linear_correct: npt.NDArray[np.bool_]  # (scored,)
    clip_embeddings: npt.NDArray[np.float32]  # (clips, D)
    class_ids: npt.NDArray[np.int64]  # (clips,)
    class_names: npt.NDArray[np.str_]  # (classes,)


def save_probe(folder: Path, result: ProbeResult, probe_clips: ProbeClips) -> None:
    """Write both files; a folder left by a stage that was not finished is replaced."""
    with atomic_folder(folder, overwrite=True) as fresh:
        write_json(fresh / SCORES_FILE, to_scores(result))
        np.savez(
            fresh / CLIPS_FILE,
            linear_correct=result.linear_correct,
            clip_embeddings=result.clip_embeddings,
            class_ids=probe_clips.class_ids,
            class_names=np.array(probe_clips.class_names),
        )


def load_probe(folder: Path) -> ProbedClips:
    """Read what `save_probe` wrote of the clips.

    Raises:
        UserError: no such file, or another content.

    """
    path = folder / CLIPS_FILE
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return ProbedClips(*(arrays[name] for name in ProbedClips._fields))
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: expected the clips of a probe, got: {error}") from error
