"""Single-label classification with a convolutional network: what a teacher learns from."""

import torch
from torch import Tensor, nn

from earshot_training.audio.fbank import Fbank, num_frames, num_rows
from earshot_training.data.augment import AugmentConfig, augment_waveforms, mask_fbank
from earshot_training.data.collate import Batch
from earshot_training.model.convnet import ConvNet
from earshot_training.objectives.objective import StepResult


class ClassificationObjective:
    """Waveforms -> augmentation -> fbank -> masks -> cross-entropy over classes that compete.

    A batch's targets are shares of classes, summing to 1 in every clip. With few clips a network
    whose classes compete learns in half the steps of one with independent labels.

    Args:
        network: with logits of the batch's classes; the only part that is trained.
        fbank: in front of it.
        augment: what a training batch goes through; all patches enter.

    """

    def __init__(self, network: ConvNet, *, fbank: Fbank, augment: AugmentConfig) -> None:
        self._network = network
        self._fbank = fbank
        self._augment = augment

    @property
    def module(self) -> nn.Module:
        """The network."""
        return self._network

    def loss(self, batch: Batch, generator: torch.Generator) -> StepResult:
        """Loss of one batch, augmented, in nats per clip."""
        batch = augment_waveforms(batch, self._augment, generator)
        fbank = mask_fbank(
            self._fbank(batch.waveforms), num_frames(batch.num_samples), self._augment, generator
        )
        logits = self._network(fbank, num_rows(batch.num_samples)).clip_logits
        of_clips = -(batch.targets * logits.float().log_softmax(dim=1)).sum(dim=1)
        loss: Tensor = of_clips.mean()
        return StepResult(loss, {"loss/classes": loss.detach()})
