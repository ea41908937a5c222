"""Tagging beside a teacher: a convolutional network says what it hears in each clip and patch."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from earshot_training.config import ConfigError
from earshot_training.data.collate import Batch
from earshot_training.model.beats import Beats
from earshot_training.model.convnet import ConvNet, ConvNetOutput
from earshot_training.objectives.objective import StepResult
from earshot_training.objectives.tagging import Tagged, TaggingObjective
from earshot_training.objectives.tokenizer_distillation import cosine_loss


@dataclass(frozen=True, kw_only=True)
class TeachingConfig:
    """How much is learnt from the teacher and not from the clips' lists."""

    label_share: float = 0.5
    """Share of the tagging loss that the teacher's probabilities make, not the lists."""
    patch_weight: float = 1.0
    """Of 1 - cosine between the teacher's patch vectors and what a Linear makes of the model's."""

    def __post_init__(self) -> None:
        """Refuse shares and weights that cannot be."""
        if not 0 <= self.label_share <= 1:
            raise ConfigError(f"label_share: expected a share in [0, 1], got {self.label_share}")
        if self.patch_weight < 0:
            raise ConfigError(f"patch_weight: expected at least 0, got {self.patch_weight}")


class Taught(NamedTuple):
    """What a teacher says of a batch."""

    label_scores: Tensor  # (B, labels), probabilities
    patch_vectors: Tensor  # (B, N, teacher dim), zero where a patch is padding


class Teacher(nn.Module):
    """A network over classes, frozen, and the labels that each of them means.

    Args:
        network: over the classes.
        labels_of_class: (classes, labels) multi-hot.

    """

    labels_of_class: Tensor

    def __init__(self, network: ConvNet, labels_of_class: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("labels_of_class", labels_of_class)
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def teach(self, fbank: Tensor, num_rows: Tensor) -> Taught:
        """(B, frames, 128), (B,) -> a label's score is the sum over the classes that it is in."""
        output: ConvNetOutput = self.network(fbank, num_rows)
        scores = output.clip_logits.float().softmax(dim=1)
        with torch.autocast(scores.device.type, enabled=False):
            label_scores = (scores @ self.labels_of_class).clamp(max=1.0)
        return Taught(label_scores, output.patch_vectors.float())


class TaughtTagger(nn.Module):
    """A tagger, and the estimator of the teacher's patch vectors that is dropped afterwards."""

    def __init__(self, model: Beats, *, teacher_dim: int) -> None:
        super().__init__()
        self.model = model
        self.estimator = nn.Linear(model.config.dim, teacher_dim)


class TaughtTaggingObjective:
    """Tagging whose targets come from the lists and from a teacher.

    The teacher, frozen, hears every clip as it is after augmentation, without masks and with all
    patches (Beyer et al. 2022, arXiv 2106.05237: a teacher is consistent where both get the same
    view). Its probabilities are targets of the labels that have a positive. Its patch vectors,
    normalised each, are what the model's own patches have to tell (Li et al. 2022, arXiv
    2207.10026: a convolutional network's features make a transformer learn from few examples).

    Args:
        student: its model is that of `tagging`.
        tagging: augmentation, the model's pass and the loss of the lists.
        teacher: of the same labels.
        trained: (labels,) bool, which labels have a positive.
        config: weights.

    """

    def __init__(
        self,
        student: TaughtTagger,
        *,
        tagging: TaggingObjective,
        teacher: Teacher,
        trained: Tensor,
        config: TeachingConfig,
    ) -> None:
        self._student = student
        self._tagging = tagging
        self._teacher = teacher
        self._trained = trained
        self._config = config

    @property
    def module(self) -> TaughtTagger:
        """Model and estimator; the teacher is not trained."""
        return self._student

    def loss(self, batch: Batch, generator: torch.Generator) -> StepResult:
        """Loss of one batch, augmented."""
        tagged = self._tagging.tag(batch, generator)
        taught = self._teacher.teach(tagged.fbank, tagged.num_rows)
        of_lists, of_teacher = self._tagging.label_loss(tagged), self._label_loss(tagged, taught)
        of_patches = self._patch_loss(tagged, taught)
        share = self._config.label_share
        loss = (1 - share) * of_lists + share * of_teacher + self._config.patch_weight * of_patches
        metrics = {
            "loss/tagging": of_lists.detach(),
            "loss/teacher_labels": of_teacher.detach(),
            "loss/teacher_patches": of_patches.detach(),
        }
        return StepResult(loss, metrics)

    def _label_loss(self, tagged: Tagged, taught: Taught) -> Tensor:
        """Cross-entropy with the teacher's probabilities, in nats per clip."""
        assert tagged.output.clip_logits is not None
        per_label = functional.binary_cross_entropy_with_logits(
            tagged.output.clip_logits.float(), taught.label_scores, reduction="none"
        )
        return (per_label * self._trained.to(per_label)).sum(dim=1).mean()

    def _patch_loss(self, tagged: Tagged, taught: Taught) -> Tensor:
        """1 - cosine at the patches that entered the encoder."""
        vectors = taught.patch_vectors
        if tagged.kept is not None:
            kept = tagged.kept.unsqueeze(-1).expand(-1, -1, vectors.shape[2])
            vectors = vectors.gather(1, kept)
        # Behind a ReLU all vectors point alike; what differs between them is to be learnt.
        vectors = functional.layer_norm(vectors, vectors.shape[-1:])
        estimate = self._student.estimator(tagged.output.patch_vectors)
        return cosine_loss(estimate.float(), vectors, tagged.output.patch_padding)
