"""Differences between two models on the same clips, with their standard error."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from earshot_training.errors import UserError


class Gain(NamedTuple):
    """How much better one model is than another, in percentage points."""

    gain_pp: float
    standard_error_pp: float


def paired_gain(later: npt.NDArray[np.bool_], earlier: npt.NDArray[np.bool_]) -> Gain:
    """(clips,) correctness of two models on the same clips -> difference of accuracies.

    d = later - earlier per clip; the standard error is 100 std(d) / sqrt(clips).
    """
    if later.shape != earlier.shape or len(later) < 2:
        raise UserError(
            f"expected the same two or more clips scored twice, got {len(later)} and {len(earlier)}"
        )
    difference = later.astype(np.float64) - earlier.astype(np.float64)
    error = 100 * float(difference.std(ddof=1)) / np.sqrt(len(difference))
    return Gain(100 * float(difference.mean()), float(error))


def mcnemar_p(later: npt.NDArray[np.bool_], earlier: npt.NDArray[np.bool_]) -> float:
    """(clips,) correctness of two models -> chance of a difference like this between equals.

    McNemar's exact test: of the clips that one model alone gets right, each is right for either
    with a chance of one half. Two-sided; 1 where the models differ on no clip.
    """
    if later.shape != earlier.shape:
        raise UserError(f"expected the same clips scored twice, got {len(later)}, {len(earlier)}")
    gained, lost = int((later & ~earlier).sum()), int((earlier & ~later).sum())
    one_sided = sum(math.comb(gained + lost, k) for k in range(min(gained, lost) + 1))
    return min(1.0, 2 * one_sided / (1 << (gained + lost)))
