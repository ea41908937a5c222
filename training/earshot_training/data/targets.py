"""A clip's labels -> what the loss is told: targets and how much each of them counts."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from earshot_training.data.manifest import Clip
from earshot_training.data.ontology import relatives
from earshot_training.errors import UserError


@dataclass(frozen=True, kw_only=True)
class ClipTargets:
    """Targets of a list of clips."""

    targets: Tensor
    """(clips, labels) float32, 1 where the clip's list names the label."""
    weights: Tensor
    """(clips, labels) float32: 1 for named labels, 0 for labels that are unknown for the clip or
    have no positive in the training list, `negative_weight` for all others."""
    trained: Tensor
    """(labels,) bool: the label has a positive in the training list."""
    positives: Tensor
    """(labels,) int64: clips of the training list that name the label."""


def create_targets(
    clips: Sequence[Clip], mids: Sequence[str], *, negative_weight: float
) -> ClipTargets:
    """Targets of the training list, over the label set `mids` (in the model's order).

    Lists of single-class sets name one class per clip. A label that they do not name is taken as
    absent with `negative_weight`, except where the ontology makes it possible (`relatives`).

    Raises:
        UserError: a clip names a mid outside the label set; no clip names any label.

    """
    targets = to_multi_hot(clips, mids)
    positives = targets.sum(dim=0).long()
    trained = positives > 0
    if not trained.any():
        raise UserError("expected a training list with labels, got one without any")
    weights = negative_weight * known_labels(clips, mids).float()
    weights = torch.where(targets > 0, 1.0, weights) * trained
    return ClipTargets(targets=targets, weights=weights, trained=trained, positives=positives)


@dataclass(frozen=True, kw_only=True)
class ClipClasses:
    """Clips by what they name: a class is a set of labels that some clip names."""

    labels_of_class: Tensor
    """(classes, labels) float32, multi-hot."""
    class_of_clip: Tensor
    """(clips,) int64."""


def create_classes(targets: Tensor) -> ClipClasses:
    """Sort clips (clips, labels), multi-hot, into classes; those that name nothing are one too."""
    labels_of_class, class_of_clip = torch.unique(targets, dim=0, return_inverse=True)
    return ClipClasses(labels_of_class=labels_of_class, class_of_clip=class_of_clip)


def known_labels(clips: Sequence[Clip], mids: Sequence[str]) -> Tensor:
    """(clips, labels) bool: False where the ontology leaves open whether the label is true."""
    class_index_of = {mid: index for index, mid in enumerate(mids)}
    known = torch.ones(len(clips), len(mids), dtype=torch.bool)
    for row, clip in enumerate(clips):
        unknown = [class_index_of[mid] for mid in relatives(clip.mids) if mid in class_index_of]
        known[row, unknown] = False
    return known


def to_multi_hot(clips: Sequence[Clip], mids: Sequence[str]) -> Tensor:
    """(clips, labels) float32: 1 where the clip names the label."""
    class_index_of = {mid: index for index, mid in enumerate(mids)}
    targets = torch.zeros(len(clips), len(mids))
    for row, clip in enumerate(clips):
        for mid in clip.mids:
            if mid not in class_index_of:
                raise UserError(f"{clip.path}: expected a mid of the label set, got {mid!r}")
            targets[row, class_index_of[mid]] = 1.0
    return targets
