"""The tagging loss against the same sum written out, and what its head starts from."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from earshot_training.config import ConfigError, EncoderConfig
from earshot_training.data.augment import AugmentConfig
from earshot_training.data.collate import Batch
from earshot_training.model.beats import Beats
from earshot_training.objectives.tagging import TaggingConfig, TaggingObjective, initialise_head

ENCODER = EncoderConfig(
    patch_dim=16, dim=16, ffn_dim=32, layers=2, heads=2, conv_pos_kernel=16, conv_pos_groups=4
)
PLAIN = AugmentConfig(roll=False, max_gain_db=0, mixup_probability=0, time_masks=0, mel_masks=0)
PRIORS = torch.tensor([0.5, 0.25, 0.0])


@pytest.fixture
def model() -> Beats:
    torch.manual_seed(0)
    return Beats(ENCODER, num_labels=3)


@pytest.fixture
def batch() -> Batch:
    torch.manual_seed(1)
    waveforms = 0.1 * torch.randn(2, 16_000)
    waveforms[1, 9_000:] = 0
    return Batch(
        waveforms=waveforms,
        num_samples=torch.tensor([16_000, 9_000]),
        targets=torch.tensor([[1.0, 0, 0], [0, 0.3, 0]]),
        target_weights=torch.tensor([[1.0, 0.5, 0], [0, 1.0, 0]]),
    )


def loss_of(
    model: Beats, batch: Batch, augment: AugmentConfig, smoothing: float = 0.0, seed: int = 0
) -> Tensor:
    objective = TaggingObjective(
        model,
        priors=PRIORS,
        config=TaggingConfig(label_smoothing=smoothing),
        augment=augment,
    )
    return objective.loss(batch, torch.Generator().manual_seed(seed)).loss


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_weighted_sum_written_out(model: Beats, batch: Batch, smoothing: float):
    logits = model(batch.waveforms, batch.num_samples).clip_logits.detach()
    scores = torch.sigmoid(logits.double())
    expected = 0.0
    for clip in range(2):
        for label in range(3):
            target = (1 - smoothing) * batch.targets[clip, label] + smoothing * PRIORS[label]
            score = scores[clip, label]
            cross_entropy = -(target * score.log() + (1 - target) * (1 - score).log())
            expected += float(batch.target_weights[clip, label] * cross_entropy) / 2
    assert abs(float(loss_of(model, batch, PLAIN, smoothing).detach()) - expected) < 1e-5


def test_labels_without_weight_get_no_gradient(model: Beats, batch: Batch):
    loss_of(model, batch, AugmentConfig()).backward()
    assert not model.predictor.weight.grad[2].any()
    assert not model.predictor.bias.grad[2].any()
    assert model.predictor.weight.grad[:2].any()


def test_dropped_patches_leave_the_mean_of_the_kept_ones(model: Beats, batch: Batch):
    kept_all = loss_of(model, batch, PLAIN)
    kept_some = loss_of(model, batch, AugmentConfig(
        roll=False, max_gain_db=0, mixup_probability=0, time_masks=0, mel_masks=0,
        kept_patch_share=0.5,
    ))  # fmt: skip
    assert kept_some != kept_all
    torch.testing.assert_close(kept_some, kept_all, rtol=0.2, atol=0)


def test_the_loss_is_repeated_by_its_generator(model: Beats, batch: Batch):
    augment = AugmentConfig(kept_patch_share=0.5)
    assert loss_of(model, batch, augment) == loss_of(model, batch, augment)


def test_a_fresh_head_scores_the_priors_and_is_silent_for_untrained_labels(
    model: Beats, batch: Batch
):
    initialise_head(model.predictor, positives=torch.tensor([30, 10, 0]), num_clips=99)
    model.predictor.weight.data[:2] = 0
    scores = model(batch.waveforms, batch.num_samples).clip_logits.sigmoid()
    expected = torch.tensor([[0.305, 0.105, 0.005]]).expand(2, 3)
    torch.testing.assert_close(scores, expected)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="label_smoothing"):
        TaggingConfig(label_smoothing=1.0)
    with pytest.raises(ConfigError, match="negative_weight"):
        TaggingConfig(negative_weight=-0.1)


def test_whole_batches_come_in_their_share(model: Beats, batch: Batch):
    """With every batch whole nothing is dropped; with every second one, some generators drop."""
    plain = {"roll": False, "max_gain_db": 0, "mixup_probability": 0, "time_masks": 0}
    dropping = AugmentConfig(**plain, mel_masks=0, kept_patch_share=0.5)
    whole = replace(dropping, whole_batch_probability=1.0)
    torch.testing.assert_close(loss_of(model, batch, whole), loss_of(model, batch, PLAIN))
    half = replace(dropping, whole_batch_probability=0.5)
    losses = {float(loss_of(model, batch, half, seed=seed).detach()) for seed in range(20)}
    of_whole = [loss for loss in losses if loss == float(loss_of(model, batch, PLAIN).detach())]
    assert len(of_whole) == 1
    assert 4 <= len(losses) <= 17
