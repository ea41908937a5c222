"""Every clip scored by a model that never saw its fold."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from earshot_training.errors import UserError

ClassIds = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]
Correct = npt.NDArray[np.bool_]

Predict = Callable[[Indices, Indices], ClassIds]
"""(training clips, scored clips) -> predicted classes of the scored clips."""


def cross_validate(
    predict: Predict, class_ids: ClassIds, folds: npt.NDArray[np.int64], score_folds: Sequence[int]
) -> Correct:
    """Score each of `score_folds` by what all other folds taught: (scored clips,) bool.

    The answers stand in the order of the clips, as `scored_clips` names them.
    """
    correct = np.zeros(len(class_ids), dtype=bool)
    for fold in score_folds:
        scored, training = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        correct[scored] = predict(training, scored) == class_ids[scored]
    return correct[scored_clips(folds, score_folds)]


def scored_clips(folds: npt.NDArray[np.int64], score_folds: Sequence[int]) -> Indices:
    """List the indices of the clips that a cross-validation scores, ascending."""
    return np.flatnonzero(np.isin(folds, list(score_folds)))


def choose_score_folds(folds: npt.NDArray[np.int64], wanted: Sequence[int]) -> tuple[int, ...]:
    """Folds to score: those wanted, or all; each leaves others to learn from.

    Raises:
        UserError: fewer than two folds in the list, or a wanted fold that it does not have.

    """
    present = sorted({int(fold) for fold in folds})
    if len(present) < 2:
        raise UserError(f"expected clips of at least two folds to cross-validate, got {present}")
    missing = [fold for fold in wanted if fold not in present]
    if missing:
        raise UserError(f"expected folds to score among {present}, got {missing}")
    return tuple(wanted) or tuple(present)
