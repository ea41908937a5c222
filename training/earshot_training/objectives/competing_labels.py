"""Tagging by convolutions: labels that are independent, and classes that compete beside them."""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from earshot_training.config import FbankStatistics
from earshot_training.data.augment import convex_targets
from earshot_training.data.augment_fbank import FbankAugmentConfig, Mixture, augment_fbank
from earshot_training.data.stored_fbanks import FbankBatch
from earshot_training.model.convolutions import ConvolutionTagger
from earshot_training.objectives.objective import StepResult


class CompetingLabelsObjective:
    """Pieces of fbank -> augmentation -> binary cross-entropy of labels + cross-entropy of classes.

    A class is a set of labels that clips name together; its score is the mean of their logits, as
    in the accuracy that is reported. Classes compete: with independent labels alone a network
    needs hundreds of steps before it says more than the priors (docs/experiments.md). Classes
    with a label that is unknown for a clip do not compete for it. A mixture is of both its clips'
    classes, each in its share.

    Args:
        tagger: the only part that is trained.
        statistics: that the fbanks were normalised with.
        labels_of_class: (classes, labels) multi-hot.
        augment: what a batch goes through.

    """

    def __init__(
        self,
        tagger: ConvolutionTagger,
        *,
        statistics: FbankStatistics,
        labels_of_class: Tensor,
        augment: FbankAugmentConfig,
    ) -> None:
        self._tagger = tagger
        self._statistics = statistics
        self._labels_of_class = labels_of_class
        self._augment = augment

    @property
    def module(self) -> nn.Module:
        """The tagger."""
        return self._tagger

    def loss(self, batch: FbankBatch, generator: torch.Generator) -> StepResult:
        """Loss of one batch, augmented, in nats per clip."""
        mixture = augment_fbank(batch.fbank, self._augment, generator, statistics=self._statistics)
        logits = self._tagger(mixture.fbank)
        # A mean over labels is no product that bfloat16 should do.
        with torch.autocast(logits.device.type, enabled=False):
            of_labels = _label_loss(logits, batch, mixture)
            of_classes = self._class_loss(logits, batch, mixture)
        metrics = {"loss/labels": of_labels.detach(), "loss/classes": of_classes.detach()}
        return StepResult(of_labels + of_classes, metrics)

    def _class_loss(self, logits: Tensor, batch: FbankBatch, mixture: Mixture) -> Tensor:
        """Cross-entropy of the classes of both clips of each mixture."""
        labels_of_class = self._labels_of_class.to(logits)
        scores = logits @ labels_of_class.T / labels_of_class.sum(dim=1).clamp(min=1)
        unknown = (batch.target_weights == 0).to(logits) @ labels_of_class.T > 0
        is_rival = ~unknown.scatter(1, batch.classes[:, None], value=False)
        partner, share = mixture.partner, mixture.share
        first = _competition(scores, is_rival, batch.classes)
        second = _competition(scores, is_rival[partner], batch.classes[partner])
        return (share * first + (1 - share) * second).mean()


def _competition(scores: Tensor, is_rival: Tensor, classes: Tensor) -> Tensor:
    """(B,) cross-entropy of each clip's class among its rivals."""
    total = scores.masked_fill(~is_rival, -torch.inf).logsumexp(dim=1)
    return total - scores.gather(1, classes[:, None]).squeeze(1)


def _label_loss(logits: Tensor, batch: FbankBatch, mixture: Mixture) -> Tensor:
    targets, weights = convex_targets(batch, mixture.partner, mixture.share[:, None])
    per_label = binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (per_label * weights).sum(dim=1).mean()
