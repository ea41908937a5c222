"""Scale and shift of the logits that make scores frequencies, and their place in the weights.

The head is linear and a clip's logits are means of its rows' logits, so scale and shift go into
its weights and biases: graph, rows and clips change alike and nothing else does. No ranking
changes within a label, nor between labels that were trained.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from earshot_training.errors import UserError
from earshot_training.model.artefact import Artefact, TrainedLabel
from earshot_training.model.beats import Beats
from earshot_training.train.calibration_metrics import JudgedClips
from earshot_training.train.metrics import HIGHEST_THRESHOLD

TAG_WEIGHTS = (1.0, 0.1)
"""What a clip's highest and second highest label weigh in the fit. Among all pairs those that
nobody is shown, with scores near 0, decide the fit, and the first tags are left too high or too
low; by the first tag alone, low scores come out too high (training/docs/experiments.md)."""
MAX_ROUNDS = 100
SMALLEST_STEP = 1e-9


class Calibration(NamedTuple):
    """Calibrated logits are `scale * logits + shift`, of trained labels."""

    scale: float
    shift: float


def fit_calibration(judged: JudgedClips) -> Calibration:
    """Least binary cross-entropy over each clip's first tags of those known, by Newton's method.

    Pairs weigh what `TAG_WEIGHTS` says. Targets are Platt's, (n + 1) / (n + 2) and 1 / (n + 2) of n
    true and n untrue pairs: without them pairs that some threshold parts would have no optimum.

    Raises:
        UserError: no known pair is true, or none is untrue; scores that fall where truth rises.

    """
    pair_weights = _pair_weights(judged)
    is_fitted = pair_weights > 0
    logits, is_true = judged.logits[is_fitted], judged.is_true[is_fitted]
    trues, untrues = int(is_true.sum()), int((~is_true).sum())
    if not trues or not untrues:
        raise UserError(
            "expected clips with and without trained labels to calibrate on, got "
            f"{trues} true and {untrues} untrue pairs"
        )
    targets = torch.where(is_true, (trues + 1) / (trues + 2), 1 / (untrues + 2)).double()
    scale, shift = _minimise(logits, targets, pair_weights[is_fitted])
    if scale <= 0:
        raise UserError(f"expected scores that rise with the truth, got a scale of {scale:.3g}")
    return Calibration(scale, shift)


def calibrate_judged(judged: JudgedClips, calibration: Calibration) -> JudgedClips:
    """Give the clips calibrated logits."""
    return judged._replace(logits=calibration.scale * judged.logits + calibration.shift)


def calibration_of(artefact: Artefact) -> Calibration:
    """Scale and shift that the head already holds; 1 and 0 where it was never calibrated."""
    record = artefact.training.get("calibration")
    return (
        Calibration(1.0, 0.0) if record is None else Calibration(record["scale"], record["shift"])
    )


def calibrate_artefact(
    artefact: Artefact, calibration: Calibration, *, record: Mapping[str, Any]
) -> Artefact:
    """Put scale and shift into the head; thresholds move along, to 0.5 at most; other labels stay.

    `record` goes into the artefact's `training.calibration`. Errors of calibration that the
    artefact's evaluation names are of the old scores and leave it.

    Raises:
        UserError: an artefact without labels, or one that is calibrated already.

    """
    if artefact.labels is None or artefact.activation != "sigmoid":
        raise UserError("expected a model with independent labels to calibrate, got one without")
    if "calibration" in artefact.training:
        raise UserError("expected an artefact that is not calibrated yet; take the one before")
    evaluation = {key: value for key, value in artefact.evaluation.items() if key != "calibration"}
    return replace(
        artefact,
        model=_with_calibrated_head(artefact, calibration),
        labels=tuple(_with_threshold(label, calibration) for label in artefact.labels),
        training={
            **artefact.training,
            "calibration": {**calibration._asdict(), "tag_weights": TAG_WEIGHTS, **record},
        },
        evaluation=evaluation,
    )


def _pair_weights(judged: JudgedClips) -> Tensor:
    """(clips, labels) float64: `TAG_WEIGHTS` at the highest of each clip's known labels, else 0."""
    ranked = judged.logits.masked_fill(~judged.is_known, -torch.inf)
    first = ranked.topk(min(len(TAG_WEIGHTS), ranked.shape[1]), dim=1).indices
    weights = torch.tensor(TAG_WEIGHTS, dtype=torch.float64)[: first.shape[1]]
    placed = torch.zeros(ranked.shape, dtype=torch.float64)
    return placed.scatter(1, first, weights.expand_as(first)) * judged.is_known


def _minimise(logits: Tensor, targets: Tensor, weights: Tensor) -> tuple[float, float]:
    """Newton steps, halved while they do not lead down; the loss is convex."""
    terms = torch.stack([logits, torch.ones_like(logits)], dim=1)
    parameters = torch.tensor([1.0, 0.0], dtype=torch.float64)

    def loss(point: Tensor) -> float:
        of_pairs = binary_cross_entropy_with_logits(terms @ point, targets, reduction="none")
        return float(weights @ of_pairs)

    for _ in range(MAX_ROUNDS):
        scores = torch.sigmoid(terms @ parameters)
        gradient = terms.T @ (weights * (scores - targets))
        curvature = (terms * (weights * scores * (1 - scores)).unsqueeze(1)).T @ terms
        step = torch.linalg.pinv(curvature, hermitian=True) @ gradient
        now = loss(parameters)
        while loss(parameters - step) > now and _is_large(step):
            step = step / 2
        if not _is_large(step):
            break
        parameters = parameters - step
    scale, shift = parameters.tolist()
    return scale, shift


def _is_large(step: Tensor) -> bool:
    return float(step.abs().max()) > SMALLEST_STEP


@torch.no_grad()
def _with_calibrated_head(artefact: Artefact, calibration: Calibration) -> Beats:
    model = deepcopy(artefact.model)
    head = model.predictor
    assert head is not None
    is_trained = torch.tensor([label.trained for label in artefact.labels or ()])
    head.weight[is_trained] *= calibration.scale
    head.bias[is_trained] = calibration.scale * head.bias[is_trained] + calibration.shift
    return model


def _with_threshold(label: TrainedLabel, calibration: Calibration) -> TrainedLabel:
    if label.threshold is None or not label.trained:
        return label
    threshold = torch.tensor(label.threshold, dtype=torch.float64)
    moved = torch.sigmoid(calibration.scale * torch.logit(threshold) + calibration.shift)
    return replace(label, threshold=min(float(moved), HIGHEST_THRESHOLD))
