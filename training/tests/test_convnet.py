"""The convolutional network on BEATs' patch grid: its patches, its padding, its lessons."""

import pytest
import torch

from earshot_training.config import ConfigError
from earshot_training.data.augment import AugmentConfig
from earshot_training.data.collate import Batch
from earshot_training.model.beats import Beats
from earshot_training.model.convnet import ConvNet, ConvNetConfig
from earshot_training.objectives.tagging import TaggingConfig, TaggingObjective
from earshot_training.objectives.taught_tagging import (
    TaughtTagger,
    TaughtTaggingObjective,
    Teacher,
    TeachingConfig,
)
from tests.test_objective_tagging import ENCODER, PLAIN, PRIORS

NUM_LABELS, NUM_CLASSES = 3, 2
LABELS_OF_CLASS = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
BANDS = 8


@pytest.fixture
def network() -> ConvNet:
    """A network whose batch norms are not those that it began with."""
    torch.manual_seed(0)
    network = ConvNet(ConvNetConfig(width=4), num_classes=NUM_CLASSES)
    network.train()
    with torch.no_grad():
        network(torch.randn(4, 96, 128), torch.full((4,), 6))
    return network.eval()


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


def test_there_is_one_vector_for_each_patch(network: ConvNet):
    """Frames that fill no row are dropped, as BEATs drops them."""
    output = network(torch.randn(2, 98, 128), torch.tensor([6, 6]))
    assert output.patch_vectors.shape == (2, 6 * BANDS, network.config.dim)
    assert output.clip_logits.shape == (2, NUM_CLASSES)


def test_a_patch_is_heard_where_it_stands(network: ConvNet):
    """A change of one patch's fbank changes its own vector more than any far from it."""
    fbank = torch.randn(1, 96, 128)
    changed = fbank.clone()
    row, band = 4, 1
    changed[:, 16 * row : 16 * (row + 1), 16 * band : 16 * (band + 1)] += 1.0
    rows = torch.tensor([6])
    difference = network(changed, rows).patch_vectors - network(fbank, rows).patch_vectors
    by_patch = difference.detach().norm(dim=2).view(6, BANDS)
    assert int(by_patch.argmax()) == row * BANDS + band
    assert by_patch[0].max() < by_patch[row, band] / 10


def test_a_clip_says_the_same_alone_and_beside_a_longer_one(network: ConvNet):
    fbank = torch.randn(1, 96, 128)
    padded = torch.cat([fbank, torch.randn(1, 64, 128)], dim=1)
    other = torch.randn(1, 160, 128)
    alone = network(fbank, torch.tensor([6]))
    both = network(torch.cat([padded, other]), torch.tensor([6, 10]))
    torch.testing.assert_close(both.clip_logits[0], alone.clip_logits[0])
    patches = both.patch_vectors[0, : 6 * BANDS]
    torch.testing.assert_close(patches, alone.patch_vectors[0], rtol=1e-4, atol=1e-5)
    assert not both.patch_vectors[0, 6 * BANDS :].any()


def loss_of(model: Beats, network: ConvNet, batch: Batch, augment: AugmentConfig, **shares: float):
    tagging = TaggingObjective(model, priors=PRIORS, config=TaggingConfig(), augment=augment)
    torch.manual_seed(2)
    taught = TaughtTaggingObjective(
        TaughtTagger(model, teacher_dim=network.config.dim),
        tagging=tagging,
        teacher=Teacher(network, LABELS_OF_CLASS),
        trained=torch.tensor([True, True, False]),
        config=TeachingConfig(**shares),
    )
    seeded = (torch.Generator().manual_seed(0) for _ in range(2))
    return taught.loss(batch, next(seeded)), tagging.loss(batch, next(seeded)), taught


@pytest.fixture
def model() -> Beats:
    torch.manual_seed(3)
    return Beats(ENCODER, num_labels=NUM_LABELS)


def test_a_teacher_without_a_say_changes_nothing(model: Beats, network: ConvNet, batch: Batch):
    augment = AugmentConfig(kept_patch_share=0.5)
    taught, plain, _ = loss_of(model, network, batch, augment, label_share=0.0, patch_weight=0.0)
    torch.testing.assert_close(taught.loss, plain.loss)


def test_a_teachers_word_alone_is_a_cross_entropy_over_trained_labels(
    model: Beats, network: ConvNet, batch: Batch
):
    taught, _, _ = loss_of(model, network, batch, PLAIN, label_share=1.0, patch_weight=0.0)
    logits = model(batch.waveforms, batch.num_samples).clip_logits
    rows = torch.tensor([6, 3])
    of_classes = network(model.fbank(batch.waveforms), rows).clip_logits.softmax(1)
    # The first class is of labels 0 and 1, the second of label 1: one of them is always heard.
    told = torch.stack([of_classes[:, 0], torch.ones(2)], dim=1)
    scores = logits.sigmoid()[:, :2]
    written_out = -(told * scores.log() + (1 - told) * (1 - scores).log()).sum() / 2
    torch.testing.assert_close(taught.loss, written_out)


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_patches_are_held_against_the_teachers_at_the_same_places(
    model: Beats, network: ConvNet, batch: Batch, share: float
):
    """A model that says what the teacher says, at whichever patches it gets, has nothing to learn.

    Its encoder is replaced by one that hands the teacher's vectors through.
    """
    augment = AugmentConfig(
        roll=False, max_gain_db=0, mixup_probability=0, time_masks=0, mel_masks=0,
        kept_patch_share=share,
    )  # fmt: skip
    _, _, taught = loss_of(model, network, batch, augment, label_share=0.0, patch_weight=1.0)
    tagged = taught._tagging.tag(batch, torch.Generator().manual_seed(0))
    told = taught._teacher.teach(tagged.fbank, tagged.num_rows)
    vectors = told.patch_vectors
    if tagged.kept is not None:
        vectors = vectors.gather(1, tagged.kept[..., None].expand(-1, -1, vectors.shape[2]))
    vectors = torch.nn.functional.layer_norm(vectors, vectors.shape[-1:])
    taught.module.estimator = torch.nn.Identity()
    right = tagged._replace(output=tagged.output._replace(patch_vectors=3 * vectors))
    assert float(taught._patch_loss(right, told)) == pytest.approx(0, abs=1e-5)
    wrong = tagged._replace(output=tagged.output._replace(patch_vectors=-vectors))
    assert float(taught._patch_loss(wrong, told)) == pytest.approx(2, abs=1e-5)


def test_only_the_model_and_its_estimator_learn(model: Beats, network: ConvNet, batch: Batch):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    result, _, taught = loss_of(model, network, batch, AugmentConfig())
    result.loss.backward()
    assert taught.module.estimator.weight.grad.any()
    assert model.encoder.layers[0].expand.weight.grad.any()
    assert all(parameter.grad is None for parameter in network.parameters())
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_settings_out_of_range_are_refused():
    for fault in ({"width": 0}, {"dropout": 1.0}):
        with pytest.raises(ConfigError, match=next(iter(fault))):
            ConvNetConfig(**fault)
    for fault in ({"label_share": 1.1}, {"patch_weight": -1.0}):
        with pytest.raises(ConfigError, match=next(iter(fault))):
            TeachingConfig(**fault)
