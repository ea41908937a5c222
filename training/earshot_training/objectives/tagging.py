"""Supervised tagging: independent labels, binary cross-entropy on the clip's logits."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from earshot_training.audio.fbank import num_frames, num_rows
from earshot_training.config import ConfigError
from earshot_training.data.augment import (
    AugmentConfig,
    augment_waveforms,
    draw_kept_patches,
    mask_fbank,
)
from earshot_training.data.collate import Batch
from earshot_training.model.beats import Beats
from earshot_training.model.patch_embed import patch_grid
from earshot_training.objectives.objective import StepResult


@dataclass(frozen=True, kw_only=True)
class TaggingConfig:
    """Settings of the tagging loss."""

    negative_weight: float = 1.0
    """Weight of a label that a clip's list does not name, where it is not unknown."""
    label_smoothing: float = 0.0
    """Share of each target that is replaced by the label's prior."""

    def __post_init__(self) -> None:
        if self.negative_weight < 0:
            raise ConfigError(f"expected negative_weight of at least 0, got {self.negative_weight}")
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"expected label_smoothing in [0, 1), got {self.label_smoothing}")


class TaggingObjective:
    """Waveforms -> augmentation -> fbank -> masks -> patch dropping -> weighted BCE.

    The loss is the mean over clips of the sum over labels of weight x cross-entropy. Smoothing
    moves targets towards the label's prior, so that the mean of the targets stays right.

    Args:
        model: with a head over the batch's labels.
        priors: (labels,) share of the training clips that have the label.
        config: weights and smoothing (the weights are already in the batches).
        augment: what a training batch goes through.

    """

    def __init__(
        self, model: Beats, *, priors: Tensor, config: TaggingConfig, augment: AugmentConfig
    ) -> None:
        self._model = model
        self._priors = priors
        self._config = config
        self._augment = augment

    @property
    def module(self) -> nn.Module:
        """The model."""
        return self._model

    def loss(self, batch: Batch, generator: torch.Generator) -> StepResult:
        """Loss of one batch, augmented."""
        self._model.encoder.seed_layer_drop(int(torch.randint(2**62, (), generator=generator)))
        batch = augment_waveforms(batch, self._augment, generator)
        logits = self._clip_logits(batch, generator)
        smoothing = self._config.label_smoothing
        priors = self._priors.to(logits.device)
        targets = (1 - smoothing) * batch.targets + smoothing * priors
        per_label = binary_cross_entropy_with_logits(logits.float(), targets, reduction="none")
        loss = (per_label * batch.target_weights).sum(dim=1).mean()
        return StepResult(loss, {"loss/tagging": loss.detach()})

    def _clip_logits(self, batch: Batch, generator: torch.Generator) -> Tensor:
        fbank = mask_fbank(
            self._model.fbank(batch.waveforms),
            num_frames(batch.num_samples),
            self._augment,
            generator,
        )
        rows = num_rows(batch.num_samples)
        output = self._model.forward_fbank(
            fbank, rows, kept=self._draw_kept(rows, generator), positions="true"
        )
        if output.clip_logits is None:
            raise ValueError("expected a model with a head, got one without labels")
        return output.clip_logits

    def _draw_kept(self, rows: Tensor, generator: torch.Generator) -> Tensor | None:
        augment = self._augment
        if augment.kept_patch_share == 1:
            return None
        whole = augment.whole_batch_probability
        if whole > 0 and float(torch.rand((), generator=generator)) < whole:
            return None
        grid_rows, bands = patch_grid(int(rows.max()))
        return draw_kept_patches(
            rows * bands,
            max_patches=grid_rows * bands,
            share=augment.kept_patch_share,
            generator=generator,
        )


@torch.no_grad()
def initialise_head(head: nn.Linear, *, positives: Tensor, num_clips: int) -> None:
    """Start at the labels' priors: bias = log-odds of (positives + 1/2) / (clips + 1).

    Rows of labels without a positive become zero: nothing trains them, and so they keep saying
    their prior instead of noise.
    """
    priors = (positives.float() + 0.5) / (num_clips + 1)
    head.bias.copy_(torch.logit(priors))
    head.weight.mul_((positives > 0).to(head.weight)[:, None])
