"""All frozen probes of one encoder on one labelled list of clips."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from earshot_training.config import ConfigError
from earshot_training.data.manifest import Clip
from earshot_training.errors import UserError
from earshot_training.model.beats import Beats
from earshot_training.probe.cross_validation import ClassIds, choose_score_folds, scored_clips
from earshot_training.probe.knn import score_knn
from earshot_training.probe.linear import fit_linear_probe, score_best_layer, score_linear
from earshot_training.probe.retrieval import precision_at
from earshot_training.train.features import ClipVectors, extract_features


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """How an encoder is probed; the same for all encoders that are compared."""

    layers: Literal["weighted", "best"] = "weighted"
    """What the linear probe S reads: all layers with learned softmax weights, or the one layer
    that a cross-validation within the training folds finds best."""
    l2: float = 1.0
    """Of the linear probe's weights, beside the summed cross-entropy (scikit-learn's 1 / C)."""
    neighbours: int = 10
    retrieved: int = 10
    score_folds: tuple[int, ...] = ()
    """Folds whose clips are scored, each by what all others taught; none named: every fold."""
    max_clip_seconds: float = 30.0
    """Longer clips are heard up to here."""
    batch_size: int = 32

    def __post_init__(self) -> None:
        """Refuse what cannot be computed."""
        for name in ("neighbours", "retrieved", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected at least 1, got {getattr(self, name)}")
        for name in ("l2", "max_clip_seconds"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name}: expected more than 0, got {getattr(self, name)}")


class ProbeClips(NamedTuple):
    """Clips that a probe can use: single-class and in a fold."""

    clips: tuple[Clip, ...]
    class_names: tuple[str, ...]
    class_ids: ClassIds  # (clips,), indices into class_names
    folds: npt.NDArray[np.int64]  # (clips,)


class ProbeResult(NamedTuple):
    """What the probes found; correctness is kept per scored clip, so that models can be paired."""

    linear_correct: npt.NDArray[np.bool_]  # (scored,), of S
    knn_correct: npt.NDArray[np.bool_]  # (scored,), on the clip embeddings
    layer_accuracy: tuple[float, ...]  # linear probe of each layer alone
    knn_layer_accuracy: tuple[float, ...]
    layer_weights: tuple[float, ...]  # of a weighted probe on all clips, what the layers are worth
    retrieval_precision: float  # of the scored clips, among all
    clip_embeddings: npt.NDArray[np.float32]  # (clips, E)
    scored: npt.NDArray[np.int64]  # (scored,), indices of the scored clips
    score_folds: tuple[int, ...]

    @property
    def linear_accuracy(self) -> float:
        """S as a share."""
        return float(self.linear_correct.mean())

    @property
    def knn_accuracy(self) -> float:
        """Share of the scored clips whose neighbours name their class."""
        return float(self.knn_correct.mean())


def usable_clips(clips: Sequence[Clip]) -> ProbeClips:
    """Those with a class and a fold, in the list's order.

    Raises:
        UserError: fewer than two classes among them.

    """
    usable = tuple(c for c in clips if c.class_name is not None and c.fold is not None)
    names = tuple(sorted({str(clip.class_name) for clip in usable}))
    if len(names) < 2:
        raise UserError(
            f"expected clips of at least two classes that lie in folds, got {len(usable)} such "
            f"clips of {len(names)} classes"
        )
    index_of = {name: index for index, name in enumerate(names)}
    return ProbeClips(
        clips=usable,
        class_names=names,
        class_ids=np.array([index_of[str(clip.class_name)] for clip in usable], dtype=np.int64),
        folds=np.array([clip.fold for clip in usable], dtype=np.int64),
    )


def probe_encoder(
    model: Beats, probe_clips: ProbeClips, config: ProbeConfig, *, device: torch.device
) -> ProbeResult:
    """Run every probe on a frozen model."""
    vectors = extract_features(
        model,
        probe_clips.clips,
        batch_size=config.batch_size,
        max_clip_seconds=config.max_clip_seconds,
        device=device,
    )
    return probe_vectors(vectors, probe_clips, config)


def probe_vectors(
    vectors: ClipVectors, probe_clips: ProbeClips, config: ProbeConfig
) -> ProbeResult:
    """Run every probe on what a frozen model says of the clips."""
    layers, embeddings = vectors
    _, class_names, class_ids, folds = probe_clips
    score_folds = choose_score_folds(folds, config.score_folds)
    score = score_linear if config.layers == "weighted" else score_best_layer
    each_layer = [layers[layer : layer + 1] for layer in range(len(layers))]
    knn = [
        score_knn(one, class_ids, folds, score_folds, neighbours=config.neighbours)
        for one in (*layers, embeddings)
    ]
    probe = fit_linear_probe(layers, class_ids, num_classes=len(class_names), l2=config.l2)
    recordings = [f"{clip.source}/{clip.recording}" for clip in probe_clips.clips]
    scored = scored_clips(folds, score_folds)
    return ProbeResult(
        linear_correct=score(layers, class_ids, folds, score_folds, l2=config.l2),
        knn_correct=knn[-1],
        layer_accuracy=tuple(
            float(score_linear(layer, class_ids, folds, score_folds, l2=config.l2).mean())
            for layer in each_layer
        ),
        knn_layer_accuracy=tuple(float(correct.mean()) for correct in knn[:-1]),
        layer_weights=tuple(probe.layer_weights.tolist()),
        retrieval_precision=precision_at(
            embeddings, class_ids, recordings, queries=scored, retrieved=config.retrieved
        ),
        clip_embeddings=embeddings,
        scored=scored,
        score_folds=score_folds,
    )


def to_scores(result: ProbeResult) -> dict[str, object]:
    """Make a table of shares, for JSON."""
    return {
        "scored_clips": len(result.scored),
        "score_folds": list(result.score_folds),
        "linear_accuracy": result.linear_accuracy,
        "knn_accuracy": result.knn_accuracy,
        "retrieval_precision": result.retrieval_precision,
        "layer_accuracy": list(result.layer_accuracy),
        "knn_layer_accuracy": list(result.knn_layer_accuracy),
        "layer_weights": list(result.layer_weights),
    }
