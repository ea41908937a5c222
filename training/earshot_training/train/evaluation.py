"""What a tagger's logits on a list of clips are worth: the record that travels with the model."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch

from earshot_training.data.manifest import Clip, clip_list_sha256
from earshot_training.data.targets import to_multi_hot
from earshot_training.model.artefact import Artefact, TrainedLabel
from earshot_training.train.calibration_metrics import calibration_metrics, judge_clips
from earshot_training.train.heard_clips import overlaps_training
from earshot_training.train.metrics import (
    HIGHEST_THRESHOLD,
    MIN_POSITIVES_FOR_THRESHOLD,
    AccuracyMetrics,
    LabelMetrics,
    TaggingMetrics,
    class_accuracy,
    tagging_metrics,
)
from earshot_training.train.scored_clips import ScoredClips, score_clips


class Evaluation(NamedTuple):
    """An artefact with its scores, and the tables that are too large for it."""

    artefact: Artefact
    """With `evaluation` and the labels' scores filled in."""
    labels: tuple[LabelMetrics, ...]
    """Of each label of the artefact."""
    accuracy: AccuracyMetrics | None
    """With its confusion table; None where clips have no class."""
    scored: ScoredClips


def evaluate(
    artefact: Artefact, clips: Sequence[Clip], *, device: torch.device, shifts: int = 1
) -> Evaluation:
    """Score the artefact on whole clips; `shifts` as in `score_clips`."""
    if artefact.labels is None:
        raise ValueError("expected an artefact with labels, got one without")
    scored = score_clips(artefact.model, clips, device=device, shifts=shifts)
    source = {
        "overlaps_training": overlaps_training(clips, artefact.training),
        "shifts": shifts,
    }
    return evaluate_scored(artefact, scored, source=source)


def evaluate_scored(
    artefact: Artefact, scored: ScoredClips, *, source: Mapping[str, Any]
) -> Evaluation:
    """Score an artefact by logits that clips have got.

    A label's average precision and threshold are measured on these very clips, for
    trained labels that have positives among them. Trained labels with too few of them get the
    threshold that is best for the others together. `source` says where the logits come from and
    goes into the record's `data`.
    """
    clips, labels = scored.clips, artefact.labels or ()
    mids = [label.mid for label in labels]
    logits = scored.logits.double()
    is_trained = np.array([label.trained for label in labels])
    truth = to_multi_hot(clips, mids).numpy().astype(bool) & is_trained
    metrics = tagging_metrics(torch.sigmoid(logits).numpy(), truth)
    accuracy = clip_accuracy(scored, labels)
    calibration = calibration_metrics(judge_clips(scored, labels))
    record = _record(clips, metrics, accuracy, source) | {
        "calibration": None if calibration is None else calibration.to_record()
    }
    scored_labels = tuple(
        _scored_label(label, metrics, index) for index, label in enumerate(labels)
    )
    return Evaluation(
        artefact=replace(artefact, labels=scored_labels, evaluation=record),
        labels=metrics.per_label,
        accuracy=accuracy,
        scored=scored,
    )


def clip_accuracy(scored: ScoredClips, labels: Sequence[TrainedLabel]) -> AccuracyMetrics | None:
    """Accuracy over the classes of a single-class list; None where clips have no class."""
    clips = scored.clips
    if any(clip.class_name is None for clip in clips):
        return None
    class_index_of = {label.mid: index for index, label in enumerate(labels) if label.trained}
    class_labels = {
        str(clip.class_name): [class_index_of[mid] for mid in clip.mids if mid in class_index_of]
        for clip in clips
    }
    if not any(class_labels.values()):
        return None
    logits = scored.logits.double().numpy()
    return class_accuracy(logits, [str(clip.class_name) for clip in clips], class_labels)


def _scored_label(label: TrainedLabel, metrics: TaggingMetrics, index: int) -> TrainedLabel:
    scored = metrics.per_label[index]
    threshold = scored.threshold
    if threshold is None and label.trained:
        threshold = metrics.pooled_threshold
    return replace(label, average_precision=scored.average_precision, threshold=threshold)


def _record(
    clips: Sequence[Clip],
    metrics: TaggingMetrics,
    accuracy: AccuracyMetrics | None,
    source: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        "data": {
            "sources": sorted({clip.source for clip in clips}),
            "folds": sorted({clip.fold for clip in clips if clip.fold is not None}),
            "clips": len(clips),
            "clips_sha256": clip_list_sha256(clips),
            **source,
        },
        "thresholds": "between the score of the highest F1 on these clips, at most "
        f"{HIGHEST_THRESHOLD}, and half of that F1, from {MIN_POSITIVES_FOR_THRESHOLD} positives "
        "on; with fewer that of all these labels as one",
        "pooled_threshold": metrics.pooled_threshold,
        "labels_scored": sum(label.average_precision is not None for label in metrics.per_label),
        "mean_average_precision": metrics.mean_average_precision,
        "mean_auc": metrics.mean_auc,
        "d_prime": metrics.d_prime,
        "d_prime_formula": "sqrt(2) * inverse normal CDF of the mean AUC",
        "accuracy": None if accuracy is None else _accuracy_record(accuracy),
    }


def _accuracy_record(accuracy: AccuracyMetrics) -> dict[str, Any]:
    return {
        "value": accuracy.accuracy,
        "wilson_95": [accuracy.low, accuracy.high],
        "correct": accuracy.correct,
        "clips": accuracy.clips,
        "classes": accuracy.classes,
        "merged_classes": [list(group) for group in accuracy.merged_classes],
        "unlabelled_classes": list(accuracy.unlabelled_classes),
        "class_score": "mean of the logits of the class's labels",
    }
