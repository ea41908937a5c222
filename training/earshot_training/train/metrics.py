"""How well scores rank and decide: average precision, AUC, d', accuracy, thresholds."""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

Scores = npt.NDArray[np.float64]
Targets = npt.NDArray[np.bool_]
MIN_POSITIVES_FOR_THRESHOLD = 5
HIGHEST_THRESHOLD = 0.5
"""Of scores that are frequencies the best threshold is half of the best F1 (Lipton et al. 2014,
arXiv 1402.1892), so never above this."""
WILSON_Z = 1.959963984540054


class LabelMetrics(NamedTuple):
    """One label over a list of clips; None where the list cannot tell."""

    positives: int
    average_precision: float | None
    auc: float | None
    threshold: float | None
    """Score from which on the label is taken for present: `decision_threshold` of this list."""


class TaggingMetrics(NamedTuple):
    """All labels over a list of clips."""

    per_label: tuple[LabelMetrics, ...]
    mean_average_precision: float | None
    """Macro mean over the labels with positives."""
    mean_auc: float | None
    """Macro mean over the labels with positives and negatives."""
    d_prime: float | None
    """sqrt(2) x inverse normal CDF of the mean AUC."""
    pooled_threshold: float | None
    """`decision_threshold` of the pairs of clip and label, of all labels that have a threshold: for
    those that do not, and so are taken to be like the others."""


class BestF1(NamedTuple):
    """The highest F1 that any threshold has on a list."""

    threshold: float
    """Score at or above which it is reached."""
    f1: float


class Confusion(NamedTuple):
    """How often each class was taken for each."""

    classes: tuple[str, ...]
    """Names; of classes that count as one, joined by ` / `."""
    counts: tuple[tuple[int, ...], ...]
    """counts[true class][class it was taken for]."""


class AccuracyMetrics(NamedTuple):
    """Single-label accuracy over the clips whose class has a label."""

    correct: int
    clips: int
    accuracy: float
    low: float
    """Lower end of the 95 % Wilson interval."""
    high: float
    classes: int
    """Classes told apart; classes with the same labels count as one."""
    merged_classes: tuple[tuple[str, ...], ...]
    """Groups of classes that have the same labels."""
    unlabelled_classes: tuple[str, ...]
    """Classes left out because no label fits."""
    confusion: Confusion
    is_correct: tuple[bool | None, ...]
    """Of every clip of the list; None for clips of a class without a label."""


def tagging_metrics(scores: Scores, targets: Targets) -> TaggingMetrics:
    """Score a list: (clips, labels) scores in any monotone scale and (clips, labels) truth."""
    per_label = tuple(
        _label_metrics(scores[:, label], targets[:, label]) for label in range(targets.shape[1])
    )
    mean_auc = _mean([label.auc for label in per_label])
    has_threshold = [label.threshold is not None for label in per_label]
    return TaggingMetrics(
        per_label=per_label,
        mean_average_precision=_mean([label.average_precision for label in per_label]),
        mean_auc=mean_auc,
        d_prime=None if mean_auc is None else _d_prime(mean_auc),
        pooled_threshold=(
            decision_threshold(scores[:, has_threshold].ravel(), targets[:, has_threshold].ravel())
            if any(has_threshold)
            else None
        ),
    )


def decision_threshold(scores: Scores, targets: Targets) -> float:
    """Score from which on a label is taken for present, by (N,) scores that are near frequencies.

    The geometric mean of two estimates: where F1 is highest on these clips, at most 0.5, and half
    of that F1. The former follows a few clips, the latter the faults of the calibration; together
    they decide better about other clips than each of them (docs/experiments.md).
    """
    best = best_f1(scores, targets)
    return math.sqrt(min(best.threshold, HIGHEST_THRESHOLD) * best.f1 / 2)


def best_f1(scores: Scores, targets: Targets) -> BestF1:
    """Find the highest F1; of equal ones that of the highest threshold."""
    precision, recall, thresholds = precision_recall_curve(targets, scores)
    precision, recall = precision[:-1], recall[:-1]
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = np.flatnonzero(f1 == f1.max())[-1]
    return BestF1(float(thresholds[best]), float(f1[best]))


def class_accuracy(
    logits: Scores,
    class_names: Sequence[str],
    class_labels: Mapping[str, Sequence[int]],
) -> AccuracyMetrics:
    """Accuracy of the best class: its score is the mean of its labels' logits.

    Args:
        logits: (clips, labels).
        class_names: of each clip.
        class_labels: class -> indices of its labels; empty for classes without a label.

    """
    groups: dict[tuple[int, ...], list[str]] = {}
    for name in sorted(class_labels):
        if class_labels[name]:
            groups.setdefault(tuple(sorted(class_labels[name])), []).append(name)
    group_of = {name: i for i, names in enumerate(groups.values()) for name in names}
    counted = [i for i, name in enumerate(class_names) if name in group_of]
    truth = np.array([group_of[class_names[i]] for i in counted], dtype=np.int64)
    class_scores = np.stack([logits[counted][:, list(labels)].mean(axis=1) for labels in groups], 1)
    taken_for = class_scores.argmax(axis=1)
    counts = np.zeros((len(groups), len(groups)), dtype=np.int64)
    np.add.at(counts, (truth, taken_for), 1)
    is_correct: list[bool | None] = [None] * len(class_names)
    for i, is_right in zip(counted, (truth == taken_for).tolist(), strict=True):
        is_correct[i] = is_right
    correct = int(np.trace(counts))
    low, high = wilson_interval(correct, len(counted))
    return AccuracyMetrics(
        correct=correct,
        clips=len(counted),
        accuracy=correct / len(counted),
        low=low,
        high=high,
        classes=len(groups),
        merged_classes=tuple(tuple(names) for names in groups.values() if len(names) > 1),
        unlabelled_classes=tuple(sorted(set(class_labels) - set(group_of))),
        confusion=Confusion(
            classes=tuple(" / ".join(names) for names in groups.values()),
            counts=tuple(tuple(row) for row in counts.tolist()),
        ),
        is_correct=tuple(is_correct),
    )


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    share, z = successes / trials, WILSON_Z
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return (centre - spread) / scale, (centre + spread) / scale


def _label_metrics(scores: Scores, targets: Targets) -> LabelMetrics:
    positives = int(targets.sum())
    if positives == 0:
        return LabelMetrics(0, None, None, None)
    has_negatives = positives < len(targets)
    is_enough = positives >= MIN_POSITIVES_FOR_THRESHOLD
    return LabelMetrics(
        positives=positives,
        average_precision=float(average_precision_score(targets, scores)),
        auc=float(roc_auc_score(targets, scores)) if has_negatives else None,
        threshold=decision_threshold(scores, targets) if is_enough else None,
    )


def _d_prime(auc: float) -> float | None:
    """Answer None for an AUC of 0 or 1, where d' has no finite value."""
    return math.sqrt(2) * NormalDist().inv_cdf(auc) if 0 < auc < 1 else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
