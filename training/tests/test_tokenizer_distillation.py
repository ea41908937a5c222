"""Tokenizer training: the losses against other formulas, the teacher, the codebook's part."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, kl_divergence
from torch.testing import assert_close

from earshot_training.config import ConfigError, EncoderConfig
from earshot_training.data.token_batches import TokenBatch
from earshot_training.data.unlabelled import UnlabelledDataConfig
from earshot_training.errors import UserError
from earshot_training.model.artefact import Artefact, TrainedLabel
from earshot_training.model.beats import Beats
from earshot_training.objectives.tokenizer_distillation import (
    DistillationConfig,
    Teacher,
    TokenizerDistillationObjective,
    cosine_loss,
    create_trainer,
    logits_divergence,
)
from earshot_training.tokenizer.codebook import CodebookConfig
from earshot_training.tokenizer.distilled import DistilledTokenizerConfig
from earshot_training.train.loop import LoopConfig
from earshot_training.train.optimizer import OptimizerConfig, create_optimizer
from earshot_training.train.train_tokenizer import TrainTokenizerConfig, create_teacher

SIZES = {"patch_dim": 16, "ffn_dim": 64, "layers": 2, "heads": 4, "conv_pos_kernel": 16}
ENCODER = EncoderConfig(dim=32, conv_pos_groups=4, **SIZES)
WIDER = EncoderConfig(dim=48, conv_pos_groups=4, **SIZES)
SHAPE = DistilledTokenizerConfig(
    encoder=ENCODER, codebook=CodebookConfig(codebook_size=24, codebook_dim=8)
)
NUM_LABELS = 6


def made_batch() -> TokenBatch:
    generator = torch.Generator().manual_seed(2)
    waveforms = 0.1 * torch.randn(2, 15_600, generator=generator)
    waveforms[1, 7_920:] = 0
    return TokenBatch(waveforms, torch.tensor([15_600, 7_920]), None)


def made_objective(
    target: str = "patch_vectors",
    *,
    teacher_config: EncoderConfig = ENCODER,
    label_indices: Tensor | None = None,
    **config: object,
) -> TokenizerDistillationObjective:
    torch.manual_seed(0)
    teacher_model = Beats(teacher_config, num_labels=NUM_LABELS)
    teacher = Teacher(teacher_model, target=target, label_indices=label_indices)
    distillation = DistillationConfig(target=target, estimator_layers=1, **config)
    trainer = create_trainer(SHAPE, distillation, teacher)
    trainer.tokenizer.codebook.start(torch.randn(100, 8), seed=0)
    return TokenizerDistillationObjective(trainer, teacher=teacher, config=distillation)


def step(objective: TokenizerDistillationObjective):
    return objective.loss(made_batch(), torch.Generator().manual_seed(0))


def test_cosine_loss_written_out():
    generator = torch.Generator().manual_seed(1)
    estimate, taught = (torch.randn(2, 3, 5, generator=generator) for _ in range(2))
    padding = torch.tensor([[False, False, False], [False, True, True]])
    similarities = [
        float(estimate[clip, patch] @ taught[clip, patch])
        / float(estimate[clip, patch].norm() * taught[clip, patch].norm())
        for clip, patch in [(0, 0), (0, 1), (0, 2), (1, 0)]
    ]
    expected = 1 - sum(similarities) / 4
    assert float(cosine_loss(estimate, taught, padding)) == pytest.approx(expected, abs=1e-6)
    assert float(cosine_loss(3 * taught, taught, padding)) == pytest.approx(0, abs=1e-6)


def test_divergence_of_logits_is_that_of_independent_coins():
    generator = torch.Generator().manual_seed(1)
    estimate, taught = (3 * torch.randn(4, 7, generator=generator) for _ in range(2))
    coins = kl_divergence(Bernoulli(logits=taught), Bernoulli(logits=estimate))
    assert_close(logits_divergence(estimate, taught), coins.sum(dim=1).mean())
    assert float(logits_divergence(taught, taught)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("target", ["patch_vectors", "clip_logits"])
def test_the_loss_is_the_estimate_and_the_weighted_commitment(target):
    parts = step(made_objective(target, commitment_weight=0.25))
    expected = parts.metrics["loss/estimate"] + 0.25 * parts.metrics["loss/commitment"]
    assert_close(parts.loss.detach(), expected)


def test_commitment_is_summed_over_the_dimensions():
    objective = made_objective()
    tokenizer = objective.module.tokenizer.eval()
    batch = made_batch()
    rows = torch.tensor([6, 3])
    vectors, padding = tokenizer.patch_vectors(tokenizer.fbank(batch.waveforms), rows)
    unit = torch.nn.functional.normalize(vectors[~padding], dim=-1)
    codes = tokenizer.codebook.code_vectors[tokenizer.codebook.nearest(unit)]
    mean_form = torch.nn.functional.mse_loss(unit, codes)
    assert_close(step(objective).metrics["loss/commitment"], (8 * mean_form).detach())


def test_steps_bring_the_estimate_nearer_and_leave_the_teacher_alone():
    objective = made_objective()
    teacher = objective._teacher.model
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    objective.module.train()
    optimizer = create_optimizer(objective.module, OptimizerConfig(learning_rate=3e-3))
    losses = []
    for _ in range(25):
        result = step(objective)
        result.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(result.metrics["loss/estimate"]))
    assert losses[-1] < 0.7 * losses[0]
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not teacher.training


def test_a_teacher_of_another_width_is_met_by_a_last_linear():
    objective = made_objective(teacher_config=WIDER)
    assert objective.module.estimator.to_target.weight.shape == (48, 32)
    assert torch.isfinite(step(objective).loss)
    same_width = made_objective()
    assert isinstance(same_width.module.estimator.to_target, torch.nn.Identity)


def test_an_estimator_of_logits_starts_at_the_teachers_bias():
    indices = torch.tensor([1, 4])
    objective = made_objective("clip_logits", label_indices=indices)
    bias = objective._teacher.model.predictor.bias
    assert torch.equal(objective.module.estimator.to_target.bias, bias[indices])
    batch = made_batch()
    fbank = objective.module.tokenizer.fbank(batch.waveforms)
    taught = objective._teacher.teach(fbank, torch.tensor([6, 3]))
    whole = objective._teacher.model(batch.waveforms, batch.num_samples).clip_logits
    assert_close(taught, whole[:, indices].detach())


def train_config(target: str) -> TrainTokenizerConfig:
    return TrainTokenizerConfig(
        seed=0,
        encoder=ENCODER,
        data=UnlabelledDataConfig(manifest=Path("manifest.jsonl")),
        loop=LoopConfig(steps=1),
        distillation=DistillationConfig(target=target),
    )


def test_only_trained_labels_are_taught():
    labels = tuple(
        TrainedLabel(mid=f"/m/{index}", name=str(index), trained=index in (2, 5))
        for index in range(NUM_LABELS)
    )
    model = Beats(ENCODER, num_labels=NUM_LABELS)
    artefact = Artefact(model=model, kind="finetuned", activation="sigmoid", labels=labels)
    teacher = create_teacher(artefact, train_config("clip_logits"))
    assert teacher.label_indices.tolist() == [2, 5]


def test_clip_logits_need_a_teacher_with_labels():
    artefact = Artefact(model=Beats(ENCODER), kind="pretrained")
    with pytest.raises(UserError, match="teacher with trained labels"):
        create_teacher(artefact, train_config("clip_logits"))
    assert create_teacher(artefact, train_config("patch_vectors")).label_indices is None


@pytest.mark.parametrize("values", [{"estimator_layers": 0}, {"commitment_weight": -1.0}])
def test_impossible_settings_are_refused(values):
    with pytest.raises(ConfigError, match=next(iter(values))):
        DistillationConfig(**values)
