"""Nearest neighbours by cosine: no parameter to tune but their number."""

import numpy as np
import numpy.typing as npt

from earshot_training.probe.cross_validation import ClassIds, Indices, cross_validate

Vectors = npt.NDArray[np.float32]
"""(clips, D) of one layer."""


def score_knn(
    vectors: Vectors,
    class_ids: ClassIds,
    folds: npt.NDArray[np.int64],
    score_folds: tuple[int, ...],
    *,
    neighbours: int,
) -> npt.NDArray[np.bool_]:
    """Cross-validated correctness of a vote among the nearest training clips: (scored clips,).

    Features are centred by the mean of the training clips: the patch vectors of all clips share a
    large part, and beside it cosines tell little. Each neighbour votes with its cosine, so that
    ties between classes do not arise.
    """
    num_classes = int(class_ids.max()) + 1

    def predict(training: Indices, scored: Indices) -> ClassIds:
        centre = vectors[training].mean(axis=0, dtype=np.float64)
        cosines = unit_rows(vectors[scored] - centre) @ unit_rows(vectors[training] - centre).T
        nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :neighbours]
        votes = np.zeros((len(scored), num_classes))
        rows = np.repeat(np.arange(len(scored)), nearest.shape[1])
        weights = 1 + np.take_along_axis(cosines, nearest, axis=1)
        np.add.at(votes, (rows, class_ids[training][nearest].ravel()), weights.ravel())
        winners: ClassIds = votes.argmax(axis=1)
        return winners

    return cross_validate(predict, class_ids, folds, score_folds)


def unit_rows(vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """(clips, D) -> the same directions with length 1; a zero row stays zero."""
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    unit: npt.NDArray[np.float64] = wide / np.maximum(lengths, 1e-12)
    return unit
