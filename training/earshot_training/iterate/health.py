"""Whether a codebook is in use, and its tokens say anything about what is heard."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from earshot_training.iterate.agreement import entropy
from earshot_training.tokenizer.code_usage import code_usage

TokenGrid = npt.NDArray[np.integer[Any]]
"""(rows, bands) token ids of a clip."""
DEFAULT_RESAMPLES = 200


class CodebookHealth(NamedTuple):
    """Of the tokens of a list of clips."""

    perplexity: float
    """exp(entropy in nats), between 1 and the codebook's size."""
    usage: float
    """Share of the codes that carry at least 1e-5 of the patches."""
    unigram_entropy: float
    """In nats: the cross-entropy of guessing tokens by frequency alone."""


class LabelInformation(NamedTuple):
    """I(token; class) / H(class), what a token tells of the class of its clip."""

    share: float
    standard_error: float
    """Over clips, by bootstrap."""


def codebook_health(counts: npt.NDArray[np.int64]) -> CodebookHealth:
    """(codebook_size,) patches per code -> how evenly the codes are used."""
    usage = code_usage(torch.from_numpy(counts).double())
    return CodebookHealth(
        perplexity=float(usage.perplexity),
        usage=float(usage.usage),
        unigram_entropy=float(usage.entropy),
    )


def codes_per_clip(grids: Sequence[TokenGrid], codebook_size: int) -> npt.NDArray[np.int64]:
    """Count each clip's tokens: -> (clips, codebook_size)."""
    return np.stack([np.bincount(grid.ravel(), minlength=codebook_size) for grid in grids])


def label_information(
    clip_counts: npt.NDArray[np.int64],
    class_ids: npt.NDArray[np.int64],
    *,
    seed: int,
    resamples: int = DEFAULT_RESAMPLES,
) -> LabelInformation:
    """Measure what tokens tell of classes: (clips, codes) counts, (clips,) classes.

    Clips, not patches, are drawn anew for the standard error: patches of a clip are no
    independent witnesses.
    """
    random = np.random.default_rng(seed)
    clips, num_classes = len(class_ids), int(class_ids.max()) + 1
    counts = clip_counts.astype(np.float64)
    drawn = [
        _information_share(
            counts,
            class_ids,
            np.bincount(random.integers(clips, size=clips), minlength=clips),
            num_classes,
        )
        for _ in range(resamples)
    ]
    share = _information_share(counts, class_ids, np.ones(clips, dtype=np.int64), num_classes)
    return LabelInformation(share, float(np.std(drawn, ddof=1)))


def _information_share(
    counts: npt.NDArray[np.float64],
    class_ids: npt.NDArray[np.int64],
    clip_weights: npt.NDArray[np.int64],
    num_classes: int,
) -> float:
    """I(token; class) / H(class) of the patches, each clip counted `clip_weights` times."""
    weights = np.zeros((num_classes, len(class_ids)))
    weights[class_ids, np.arange(len(class_ids))] = clip_weights
    joint = weights @ counts
    class_entropy = entropy(joint.sum(axis=1))
    if class_entropy == 0:
        return 0.0
    information = class_entropy + entropy(joint.sum(axis=0)) - entropy(joint.ravel())
    return information / class_entropy
