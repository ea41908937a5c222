"""A tagger over a list of clips: logits, metrics, and the record that travels with the model."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from earshot_training.audio.fbank import num_rows
from earshot_training.audio.waveform import read_waveform
from earshot_training.data.manifest import Clip, clip_list_sha256
from earshot_training.data.targets import to_multi_hot
from earshot_training.errors import UserError
from earshot_training.model.artefact import Artefact, TrainedLabel
from earshot_training.model.attention import MAX_PATCHES
from earshot_training.model.beats import Beats
from earshot_training.train.metrics import (
    MIN_POSITIVES_FOR_THRESHOLD,
    AccuracyMetrics,
    LabelMetrics,
    TaggingMetrics,
    class_accuracy,
    tagging_metrics,
)

BATCH_CLIPS = 16


@torch.inference_mode()
def clip_logits(model: Beats, clips: Sequence[Clip], *, device: torch.device) -> Tensor:
    """Logits of whole clips, nothing dropped or augmented: (clips, labels) float32 on the CPU."""
    model = model.to(device).eval()
    parts: list[Tensor] = []
    for start in range(0, len(clips), BATCH_CLIPS):
        waveforms = [_read(clip, model) for clip in clips[start : start + BATCH_CLIPS]]
        num_samples = torch.tensor([len(waveform) for waveform in waveforms])
        padded = torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True)
        logits = model(padded.to(device), num_samples.to(device)).clip_logits
        parts.append(logits.float().cpu())
    return torch.cat(parts)


def _read(clip: Clip, model: Beats) -> Tensor:
    waveform = read_waveform(clip.path)
    num_patches = num_rows(len(waveform)) * model.config.bands
    if num_patches > MAX_PATCHES:
        raise UserError(
            f"{clip.path}: expected a clip of at most {MAX_PATCHES} patches (81.9 s), "
            f"got {num_patches}"
        )
    return torch.from_numpy(waveform)


class Evaluation(NamedTuple):
    """An artefact with its scores, and the tables that are too large for it."""

    artefact: Artefact
    """With `evaluation` and the labels' scores filled in."""
    labels: tuple[LabelMetrics, ...]
    """Of each label of the artefact."""
    accuracy: AccuracyMetrics | None
    """With its confusion table; None where clips have no class."""


def evaluate(artefact: Artefact, clips: Sequence[Clip], *, device: torch.device) -> Evaluation:
    """Score the artefact on whole clips.

    A label's average precision and threshold (highest F1) are measured on these very clips, for
    trained labels that have positives among them.
    """
    if artefact.labels is None:
        raise ValueError("expected an artefact with labels, got one without")
    mids = [label.mid for label in artefact.labels]
    logits = clip_logits(artefact.model, clips, device=device)
    scores = torch.sigmoid(logits.double()).numpy()
    is_trained = np.array([label.trained for label in artefact.labels])
    truth = to_multi_hot(clips, mids).numpy().astype(bool) & is_trained
    metrics = tagging_metrics(scores, truth)
    accuracy = _class_accuracy(logits.double().numpy(), clips, mids, is_trained)
    scored = replace(
        artefact,
        labels=tuple(
            _scored_label(label, metrics, index) for index, label in enumerate(artefact.labels)
        ),
        evaluation=_record(clips, metrics, accuracy, artefact),
    )
    return Evaluation(scored, metrics.per_label, accuracy)


def _class_accuracy(
    logits: npt.NDArray[np.float64],
    clips: Sequence[Clip],
    mids: Sequence[str],
    is_trained: npt.NDArray[np.bool_],
) -> AccuracyMetrics | None:
    """Accuracy over the classes of a single-class list; None where clips have no class."""
    if any(clip.class_name is None for clip in clips):
        return None
    class_index_of = {mid: index for index, mid in enumerate(mids) if is_trained[index]}
    class_labels = {
        str(clip.class_name): [class_index_of[mid] for mid in clip.mids if mid in class_index_of]
        for clip in clips
    }
    if not any(class_labels.values()):
        return None
    return class_accuracy(logits, [str(clip.class_name) for clip in clips], class_labels)


def _scored_label(label: TrainedLabel, metrics: TaggingMetrics, index: int) -> TrainedLabel:
    scored = metrics.per_label[index]
    return replace(label, average_precision=scored.average_precision, threshold=scored.threshold)


def _record(
    clips: Sequence[Clip],
    metrics: TaggingMetrics,
    accuracy: AccuracyMetrics | None,
    artefact: Artefact,
) -> dict[str, Any]:
    return {
        "data": {
            "sources": sorted({clip.source for clip in clips}),
            "folds": sorted({clip.fold for clip in clips if clip.fold is not None}),
            "clips": len(clips),
            "clips_sha256": clip_list_sha256(clips),
            "overlaps_training": overlaps_training(clips, artefact.training),
        },
        "thresholds": f"highest F1 on these clips, from {MIN_POSITIVES_FOR_THRESHOLD} positives on",
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


def overlaps_training(clips: Sequence[Clip], training: dict[str, Any]) -> bool | None:
    """Whether a set and fold of these clips was trained on; None where the record cannot tell."""
    data = training.get("data")
    if not isinstance(data, dict) or "sources" not in data or "folds" not in data:
        return None
    seen = [clip for clip in clips if clip.source in data["sources"]]
    if not data["folds"]:
        return bool(seen)
    return any(clip.fold is None or clip.fold in data["folds"] for clip in seen)
