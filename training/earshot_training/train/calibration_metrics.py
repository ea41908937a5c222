"""Whether scores are frequencies: of what is told with 0.8, eight in ten should be true.

Expected calibration error (Guo 2017, arXiv 1706.04599): scores fall into 15 bins of equal width;
the error is the mean over bins of |mean score - share that is true|, each bin weighed by how much
fell into it. Few clips have an error even where scores are frequencies, for shares scatter: the
error of chance, by the normal approximation, stands beside it.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from earshot_training.data.targets import known_labels, to_multi_hot
from earshot_training.model.artefact import TrainedLabel
from earshot_training.train.scored_clips import ScoredClips

NUM_BINS = 15

Scores = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]


class JudgedClips(NamedTuple):
    """Logits beside what is known to be true, both (clips, labels); clips without a label are out.

    Nothing is known of a clip that names no label: its class may have none that fits.
    """

    logits: Tensor  # float64
    is_true: Tensor  # bool
    is_known: Tensor  # bool: False where the ontology leaves it open, and of untrained labels
    is_trained: Tensor  # bool: of the tagger that gave these logits


class Bin(NamedTuple):
    """Scores within one bin."""

    scores: int
    mean_score: float
    share_true: float
    scatter: float
    """Standard deviation of the share, if each score were the chance to be true."""


class CalibrationMetrics(NamedTuple):
    """How far scores are from frequencies."""

    pairs: int
    pairs_error: float
    """Of all pairs of a clip and a trained label that is known to be true or not."""
    top_tags: int
    top_tag_error: float
    """Of each clip's highest trained label, where it is known."""
    top_tag_chance_error: float
    """What `top_tag_error` would be on so many clips if scores were frequencies."""
    top_tag_bins: tuple[Bin, ...]
    """Those that hold anything, from low scores to high."""

    def to_record(self) -> dict[str, Any]:
        """Make a table for JSON."""
        return {
            "pairs": {"count": self.pairs, "expected_calibration_error": self.pairs_error},
            "top_tag": {
                "count": self.top_tags,
                "expected_calibration_error": self.top_tag_error,
                "error_of_chance": self.top_tag_chance_error,
                "bins": [score_bin._asdict() for score_bin in self.top_tag_bins],
            },
            "bins": f"{NUM_BINS} of equal width",
        }


def judge_clips(scored: ScoredClips, labels: Sequence[TrainedLabel]) -> JudgedClips:
    """Set logits beside what the clips' lists and the ontology say."""
    mids = [label.mid for label in labels]
    has_label = torch.tensor([bool(clip.mids) for clip in scored.clips])
    is_trained = torch.tensor([label.trained for label in labels]).expand(len(scored.clips), -1)
    return JudgedClips(
        logits=scored.logits.double()[has_label],
        is_true=to_multi_hot(scored.clips, mids).bool()[has_label],
        is_known=(known_labels(scored.clips, mids) & is_trained)[has_label],
        is_trained=is_trained[has_label],
    )


def join_judged(parts: Sequence[JudgedClips]) -> JudgedClips:
    """Clips of several taggers, each with what its tagger was trained on."""
    return JudgedClips(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def calibration_metrics(judged: JudgedClips) -> CalibrationMetrics | None:
    """Measure both errors; None where nothing is known of the clips."""
    is_known, is_true = judged.is_known.numpy(), judged.is_true.numpy()
    scores = torch.sigmoid(judged.logits).numpy()
    ranked = np.where(judged.is_trained.numpy(), scores, -1.0)
    top = (np.arange(len(ranked)), ranked.argmax(axis=1))
    top = tuple(index[is_known[top]] for index in top)
    if not is_known.any() or not len(top[0]):
        return None
    top_bins = score_bins(scores[top], is_true[top])
    return CalibrationMetrics(
        pairs=int(is_known.sum()),
        pairs_error=expected_error(score_bins(scores[is_known], is_true[is_known])),
        top_tags=len(top[0]),
        top_tag_error=expected_error(top_bins),
        top_tag_chance_error=chance_error(top_bins),
        top_tag_bins=top_bins,
    )


def score_bins(scores: Scores, is_true: Truth) -> tuple[Bin, ...]:
    """Sort (N,) scores in [0, 1] into bins of equal width; empty bins are left out."""
    index = np.minimum((scores * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    counts, score_sums, true_sums, variances = (
        np.bincount(index, weights=weights, minlength=NUM_BINS)
        for weights in (np.ones_like(scores), scores, is_true, scores * (1 - scores))
    )
    return tuple(
        Bin(
            scores=int(counts[i]),
            mean_score=float(score_sums[i] / counts[i]),
            share_true=float(true_sums[i] / counts[i]),
            scatter=math.sqrt(variances[i]) / float(counts[i]),
        )
        for i in np.flatnonzero(counts)
    )


def expected_error(bins: Sequence[Bin]) -> float:
    """Mean distance of score and share, by how much is in each bin."""
    total = sum(score_bin.scores for score_bin in bins)
    return sum(b.scores * abs(b.mean_score - b.share_true) for b in bins) / total


def chance_error(bins: Sequence[Bin]) -> float:
    """Tell the error of scores that are frequencies: E|x| = sqrt(2 / pi) sd of a normal x."""
    total = sum(score_bin.scores for score_bin in bins)
    return math.sqrt(2 / math.pi) * sum(b.scores * b.scatter for b in bins) / total
