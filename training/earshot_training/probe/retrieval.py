"""Whether a clip's embedding finds clips of its class."""

from collections.abc import Sequence

import numpy as np

from earshot_training.probe.cross_validation import ClassIds, Indices
from earshot_training.probe.knn import Vectors, unit_rows


def precision_at(
    embeddings: Vectors,
    class_ids: ClassIds,
    recordings: Sequence[str],
    *,
    queries: Indices,
    retrieved: int,
) -> float:
    """Mean share, over the queries, of the nearest `retrieved` clips that have the query's class.

    By cosine of the embeddings (clips, D), centred by their mean, among all clips. Those of the
    query's own recording are left out: to find it again is no knowledge of sounds.
    """
    unit = unit_rows(embeddings - embeddings.mean(axis=0, dtype=np.float64))
    cosines = unit[queries] @ unit.T
    _, recording_ids = np.unique(np.asarray(recordings), return_inverse=True)
    cosines[recording_ids[queries, None] == recording_ids[None, :]] = -np.inf
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :retrieved]
    is_found = class_ids[nearest] == class_ids[queries, None]
    is_candidate = np.isfinite(np.take_along_axis(cosines, nearest, axis=1))
    found = (is_found & is_candidate).sum(axis=1) / np.maximum(1, is_candidate.sum(axis=1))
    return float(found.mean())
