"""A head that fits a frozen encoder, before both are trained."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from earshot_training.model.beats import Beats
from earshot_training.train.features import extract_features
from earshot_training.train.standardisation import standardisation_of
from earshot_training.train.tagging_data import TaggingData

MAX_ROUNDS = 200
LINE_SEARCH_HISTORY = 20
BATCH_SIZE = 32


def fit_head(
    model: Beats,
    data: TaggingData,
    *,
    l2: float,
    max_clip_seconds: float,
    device: torch.device,
    autocast: Callable[[], AbstractContextManager[object]],
) -> None:
    """Give the model's head the weights that fit what its encoder says of the clips as they are.

    A head drawn at random sends gradients that undo what pre-training has learnt before they use
    it (Kumar et al. 2022, arXiv 2202.10054). Fitted are the weighted cross-entropy of the trained
    labels, summed, + l2 / 2 * |weight|^2 on standardised features; rows of other labels stay.
    The model is left in evaluation mode, on the device.
    """
    head = model.predictor
    assert head is not None
    embeddings = extract_features(
        model,
        data.clips,
        batch_size=BATCH_SIZE,
        max_clip_seconds=max_clip_seconds,
        device=device,
        autocast=autocast,
    ).embeddings
    trained = data.targets.trained
    weight, bias = fit_logistic(
        torch.from_numpy(embeddings),
        data.targets.targets[:, trained],
        data.targets.weights[:, trained],
        l2=l2,
    )
    with torch.no_grad():
        head.weight[trained] = weight.to(head.weight)
        head.bias[trained] = bias.to(head.bias)


def fit_logistic(
    features: Tensor, targets: Tensor, weights: Tensor, *, l2: float
) -> tuple[Tensor, Tensor]:
    """Fit independent logistic regressions, L-BFGS in float64.

    Args:
        features: (n, D).
        targets: (n, labels) in [0, 1].
        weights: (n, labels) of the cross-entropies.
        l2: of the weights on standardised features; the biases are free.

    Returns:
        (labels, D) weights and (labels,) biases for the features as they are.

    """
    features, targets, weights = (tensor.double().cpu() for tensor in (features, targets, weights))
    standardisation = standardisation_of(features)
    standardised = standardisation.apply(features)
    known = weights.sum(dim=0).clamp(min=1)
    priors = ((targets * weights).sum(dim=0) / known).clamp(1e-4, 1 - 1e-4)
    weight = torch.zeros(targets.shape[1], features.shape[1], dtype=torch.float64)
    bias = torch.logit(priors)
    parameters = [weight.requires_grad_(), bias.requires_grad_()]
    optimizer = torch.optim.LBFGS(
        parameters,
        max_iter=MAX_ROUNDS,
        history_size=LINE_SEARCH_HISTORY,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = nn.functional.linear(standardised, weight, bias)
        cross_entropy = binary_cross_entropy_with_logits(logits, targets, weights, reduction="sum")
        total: Tensor = cross_entropy + l2 / 2 * weight.square().sum()
        torch.autograd.backward(total)
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]  # of torch; a tensor serves as its float
    scaled = weight.detach() * standardisation.scale
    return scaled, bias.detach() - scaled @ standardisation.mean.squeeze(0)
