"""Linear probes: logistic regression on one layer, or on a learned mean of all layers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from earshot_training.probe.cross_validation import (
    ClassIds,
    Indices,
    cross_validate,
)
from earshot_training.train.features import LayerVectors
from earshot_training.train.standardisation import Standardisation, standardisation_of

MAX_ROUNDS = 300
GRADIENT_TOLERANCE = 1e-6
LINE_SEARCH_HISTORY = 20


class LinearProbe(NamedTuple):
    """A fitted probe over L layers of D dimensions and C classes, float64."""

    standardisation: Standardisation
    """By the training clips: (L, 1, D)."""
    layer_weights: Tensor
    """(L,) softmax weights, 1 in sum."""
    weight: Tensor
    """(C, D)."""
    bias: Tensor
    """(C,)."""

    def logits(self, vectors: LayerVectors) -> Tensor:
        """(L, clips, D) -> (clips, C)."""
        mixed = _mix(self.standardisation.apply(_to_float64(vectors)), self.layer_weights)
        return functional.linear(mixed, self.weight, self.bias)

    def predict(self, vectors: LayerVectors) -> ClassIds:
        """(L, clips, D) -> (clips,) most likely class."""
        predicted: ClassIds = self.logits(vectors).argmax(dim=1).numpy()
        return predicted


def fit_linear_probe(
    vectors: LayerVectors, class_ids: ClassIds, *, num_classes: int, l2: float
) -> LinearProbe:
    """Multinomial logistic regression on standardised features, L-BFGS from zero, in float64.

    Minimises summed cross-entropy + l2 / 2 * |weight|^2 (scikit-learn's C is 1 / l2; the bias is
    free). With L > 1 layers the input is their mean by softmax weights that are fitted along, from
    equal ones; with one layer the problem is convex.
    """
    features = _to_float64(vectors)
    standardisation = standardisation_of(features)
    with _one_thread():
        layer_logits, weight, bias = _minimise(
            standardisation.apply(features),
            torch.from_numpy(class_ids),
            num_classes=num_classes,
            l2=l2,
        )
    return LinearProbe(standardisation, layer_logits.softmax(dim=0), weight, bias)


def score_linear(
    vectors: LayerVectors,
    class_ids: ClassIds,
    folds: npt.NDArray[np.int64],
    score_folds: tuple[int, ...],
    *,
    l2: float,
) -> npt.NDArray[np.bool_]:
    """Cross-validated correctness of a probe on all given layers: (scored clips,) bool."""
    num_classes = int(class_ids.max()) + 1

    def predict(training: Indices, scored: Indices) -> ClassIds:
        probe = fit_linear_probe(
            vectors[:, training], class_ids[training], num_classes=num_classes, l2=l2
        )
        return probe.predict(vectors[:, scored])

    return cross_validate(predict, class_ids, folds, score_folds)


def score_best_layer(
    vectors: LayerVectors,
    class_ids: ClassIds,
    folds: npt.NDArray[np.int64],
    score_folds: tuple[int, ...],
    *,
    l2: float,
) -> npt.NDArray[np.bool_]:
    """Cross-validated correctness of the layer that is best on the training folds alone.

    Which layer that is, a cross-validation within the training folds decides; of equal ones the
    deepest. A single training fold cannot decide: then it is the last layer.
    """
    num_classes = int(class_ids.max()) + 1

    def predict(training: Indices, scored: Indices) -> ClassIds:
        layer = _choose_layer(vectors[:, training], class_ids[training], folds[training], l2=l2)
        probe = fit_linear_probe(
            vectors[layer : layer + 1, training],
            class_ids[training],
            num_classes=num_classes,
            l2=l2,
        )
        return probe.predict(vectors[layer : layer + 1, scored])

    return cross_validate(predict, class_ids, folds, score_folds)


def _choose_layer(
    vectors: LayerVectors, class_ids: ClassIds, folds: npt.NDArray[np.int64], *, l2: float
) -> int:
    present = tuple(sorted({int(fold) for fold in folds}))
    if len(present) < 2:
        return len(vectors) - 1
    correct = [
        int(score_linear(vectors[layer : layer + 1], class_ids, folds, present, l2=l2).sum())
        for layer in range(len(vectors))
    ]
    return max(range(len(correct)), key=lambda layer: (correct[layer], layer))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run on one thread: for the small sums of a fit more cost time, and change last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _minimise(
    features: Tensor, class_ids: Tensor, *, num_classes: int, l2: float
) -> tuple[Tensor, Tensor, Tensor]:
    layers, clips, dim = features.shape
    layer_logits = torch.zeros(layers, dtype=torch.float64, requires_grad=layers > 1)
    weight = torch.zeros(num_classes, dim, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(num_classes, dtype=torch.float64, requires_grad=True)
    parameters = [weight, bias, *([layer_logits] if layers > 1 else [])]
    optimizer = torch.optim.LBFGS(
        parameters,
        max_iter=MAX_ROUNDS,
        tolerance_grad=GRADIENT_TOLERANCE,
        tolerance_change=1e-10,
        history_size=LINE_SEARCH_HISTORY,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = functional.linear(_mix(features, layer_logits.softmax(dim=0)), weight, bias)
        entropy = functional.cross_entropy(logits, class_ids)
        loss = entropy + l2 / (2 * clips) * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return layer_logits.detach(), weight.detach(), bias.detach()


def _mix(features: Tensor, layer_weights: Tensor) -> Tensor:
    return torch.einsum("lcd,l->cd", features, layer_weights)


def _to_float64(vectors: LayerVectors) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float64))
