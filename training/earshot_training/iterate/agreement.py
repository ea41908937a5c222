"""How much two tokenizers agree, whatever they call their codes."""

from typing import Any

import numpy as np
import numpy.typing as npt

Tokens = npt.NDArray[np.integer[Any]]
"""(patches,) token ids."""
DEFAULT_SHUFFLES = 5


def token_agreement(
    first: Tokens, second: Tokens, *, seed: int, shuffles: int = DEFAULT_SHUFFLES
) -> float:
    """Compute the adjusted mutual information of two tokenizers' tokens of the same patches.

    (I - I0) / ((H_first + H_second) / 2 - I0) with I the mutual information and I0 its mean over
    shuffles of one side: 1 when each token of one side says the token of the other, 0 on average
    when the sides are independent. The exact expectation (scikit-learn's) is slow at 1024 x 1024
    codes. Two constant sides agree fully, so agreement says nothing of a collapsed codebook.

    Raises:
        ValueError: the sides are not (patches,) of one length.

    """
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise ValueError(f"expected (patches,) tokens twice, got {first.shape} and {second.shape}")
    random = np.random.default_rng(seed)
    by_chance = float(
        np.mean([mutual_information(first, random.permutation(second)) for _ in range(shuffles)])
    )
    most = (entropy(np.bincount(first)) + entropy(np.bincount(second))) / 2
    spread = most - by_chance
    if spread <= 1e-12:
        return 1.0 if most <= 1e-12 else 0.0
    return (mutual_information(first, second) - by_chance) / spread


def mutual_information(first: Tokens, second: Tokens) -> float:
    """I of two token sequences of the same patches, in nats: H(first) + H(second) - H(both)."""
    width = int(second.max()) + 1
    pairs = first.astype(np.int64) * width + second
    counts = np.bincount(pairs, minlength=1)
    return entropy(np.bincount(first)) + entropy(np.bincount(second)) - entropy(counts)


def entropy(counts: npt.NDArray[np.integer[Any]] | npt.NDArray[np.float64]) -> float:
    """Entropy in nats of a distribution given by its counts (zeros count nowhere)."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())
