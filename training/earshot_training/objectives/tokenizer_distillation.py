"""Tokenizer training: codes from which an estimator tells what a frozen teacher says."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from earshot_training.audio.fbank import num_rows
from earshot_training.config import ConfigError
from earshot_training.data.token_batches import TokenBatch
from earshot_training.model.beats import Beats
from earshot_training.objectives.objective import StepResult, seed_layer_drop
from earshot_training.tokenizer.distilled import (
    DistilledTokenizer,
    DistilledTokenizerConfig,
    Estimator,
    TokenizerOutput,
)

Target = Literal["patch_vectors", "clip_logits"]


@dataclass(frozen=True, kw_only=True)
class DistillationConfig:
    """What is estimated, and the balance of the two losses."""

    target: Target = "patch_vectors"
    """Of a self-supervised teacher its last layer at every patch; of a fine-tuned one its logits
    of the clip."""
    estimator_layers: int = 3
    commitment_weight: float = 1.0
    """Of the squared distances summed over the codebook's dimensions. A weight w of their mean, as
    in other code, is w / codebook_dim here."""

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        if self.estimator_layers < 1:
            raise ConfigError(f"estimator_layers: expected at least 1, got {self.estimator_layers}")
        if self.commitment_weight < 0:
            came = self.commitment_weight
            raise ConfigError(f"commitment_weight: expected at least 0, got {came}")


class Teacher:
    """A frozen encoder in evaluation mode, nothing masked.

    Args:
        model: an encoder; for clip logits one with a predictor.
        target: what it teaches.
        label_indices: (T,) int64, the labels whose logits are taught; None: all of them.

    """

    def __init__(
        self, model: Beats, *, target: Target, label_indices: Tensor | None = None
    ) -> None:
        if target == "clip_logits" and model.predictor is None:
            raise ValueError(
                "expected a fine-tuned teacher for clip_logits, got one without labels"
            )
        self.model = model.eval().requires_grad_(False)
        self.target = target
        self.label_indices = label_indices

    @torch.no_grad()
    def teach(self, fbank: Tensor, num_rows: Tensor) -> Tensor:
        """(B, frames, 128), (B,) -> (B, N, teacher dim) patch vectors or (B, T) clip logits."""
        output = self.model.forward_fbank(fbank, num_rows)
        if self.target == "patch_vectors":
            return output.patch_vectors
        assert output.clip_logits is not None
        logits = output.clip_logits
        if self.label_indices is None:
            return logits
        return logits[:, self.label_indices.to(logits.device)]


class TokenizerTrainer(nn.Module):
    """The tokenizer and what is trained with it and then dropped."""

    def __init__(self, tokenizer: DistilledTokenizer, estimator: Estimator) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.estimator = estimator

    def forward(
        self, fbank: Tensor, num_rows: Tensor, *, target: Target
    ) -> tuple[Tensor, TokenizerOutput]:
        """(B, frames, 128), (B,) -> (estimate of the teacher, the tokenizer's output)."""
        output: TokenizerOutput = self.tokenizer(fbank, num_rows)
        estimate = self.estimator.of_clip if target == "clip_logits" else self.estimator.forward
        return estimate(output.quantized, output.patch_padding), output


class TokenizerDistillationObjective:
    """Waveforms -> tokens -> estimate of the teacher -> loss + commitment.

    With patch vectors the loss is the mean over valid patches of 1 - cosine (the paper's
    equation 3; its codebook term is the codebook's own moving average). With clip logits it is the
    divergence of the estimated from the teacher's label probabilities, summed over the labels as
    independent yes-no answers, mean over clips, in nats: zero when both agree, and governed by the
    labels that the teacher is unsure or sure of rather than by the many that it denies alike.
    """

    def __init__(
        self, module: TokenizerTrainer, *, teacher: Teacher, config: DistillationConfig
    ) -> None:
        self._module = module
        self._teacher = teacher
        self._config = config

    @property
    def module(self) -> TokenizerTrainer:
        """Tokenizer and estimator; the teacher is not trained."""
        return self._module

    def loss(self, batch: TokenBatch, generator: torch.Generator) -> StepResult:
        """Loss of one batch; only layers to drop are drawn from the generator."""
        tokenizer = self._module.tokenizer
        seed_layer_drop(tokenizer.encoder, generator)
        rows = num_rows(batch.num_samples, tokenizer.config.encoder.patch_size)
        fbank = tokenizer.fbank(batch.waveforms)
        taught = self._teacher.teach(fbank, rows).float()
        estimate, output = self._module(fbank, rows, target=self._config.target)
        if self._config.target == "patch_vectors":
            estimate_loss = cosine_loss(estimate.float(), taught, output.patch_padding)
        else:
            estimate_loss = logits_divergence(estimate.float(), taught)
        loss = estimate_loss + self._config.commitment_weight * output.commitment_loss
        metrics = {
            "loss/estimate": estimate_loss.detach(),
            "loss/commitment": output.commitment_loss.detach(),
            **output.metrics,
        }
        return StepResult(loss, metrics)


def cosine_loss(estimate: Tensor, taught: Tensor, patch_padding: Tensor) -> Tensor:
    """(B, N, D) twice, (B, N) True = padding -> mean over valid patches of 1 - cosine."""
    similarity = functional.cosine_similarity(estimate, taught, dim=-1)
    is_valid = ~patch_padding
    return 1 - (similarity * is_valid).sum() / is_valid.sum()


def logits_divergence(estimate: Tensor, taught: Tensor) -> Tensor:
    """(B, T) logits twice -> KL(taught || estimate) of independent labels, in nats per clip."""
    probabilities = taught.sigmoid()
    cross_entropy = functional.binary_cross_entropy_with_logits(
        estimate, probabilities, reduction="none"
    )
    entropy = functional.binary_cross_entropy_with_logits(taught, probabilities, reduction="none")
    return (cross_entropy - entropy).sum(dim=1).mean()


def create_trainer(
    config: DistilledTokenizerConfig, distillation: DistillationConfig, teacher: Teacher
) -> TokenizerTrainer:
    """Build a tokenizer and the estimator that fits the teacher.

    An estimator of logits starts with the teacher's own bias, so that from the first step on it
    learns what tells the clips apart and not how rare each label is.
    """
    tokenizer = DistilledTokenizer(config, statistics=teacher.model.statistics)
    target_dim = _target_dim(config, teacher)
    estimator = Estimator(config, layers=distillation.estimator_layers, target_dim=target_dim)
    predictor = teacher.model.predictor
    if teacher.target == "clip_logits" and predictor is not None:
        assert isinstance(estimator.to_target, nn.Linear)
        indices = teacher.label_indices
        bias = predictor.bias if indices is None else predictor.bias[indices]
        with torch.no_grad():
            estimator.to_target.bias.copy_(bias)
    return TokenizerTrainer(tokenizer, estimator)


def _target_dim(config: DistilledTokenizerConfig, teacher: Teacher) -> int | None:
    """Width of the last Linear; None where the estimator's vectors fit as they are."""
    if teacher.target == "clip_logits":
        indices = teacher.label_indices
        return teacher.model.num_labels if indices is None else len(indices)
    teacher_dim = teacher.model.config.dim
    return None if teacher_dim == config.encoder.dim else teacher_dim
