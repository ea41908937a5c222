"""The convolutional network beside the encoder: its patches, its padding, its graph."""

import numpy as np
import pytest
import torch

from earshot_training.config import ConfigError, EncoderConfig, parse_section, to_dict
from earshot_training.export.arithmetic import PRECISIONS, GraphPrecision
from earshot_training.export.encoder_graph import OUTPUTS, create_encoder_graph
from earshot_training.export.parity import (
    assert_parity,
    create_session,
    noise_waveforms,
    pad_waveforms,
)
from earshot_training.model.beats import Beats
from earshot_training.model.convolutions import Convolutions

CONFIG = EncoderConfig(
    patch_dim=24,
    dim=24,
    ffn_dim=40,
    layers=2,
    heads=2,
    conv_pos_kernel=5,
    conv_pos_groups=3,
    convolution_width=4,
)
BANDS = 8


@pytest.fixture
def network() -> Convolutions:
    """A network whose batch norms are not those that it began with."""
    torch.manual_seed(0)
    network = Convolutions(4).train()
    with torch.no_grad():
        network(torch.randn(4, 96, 128), torch.full((4,), 6))
        for name, parameter in network.named_parameters():
            if "norm" in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return network.eval()


@pytest.fixture
def model(network: Convolutions) -> Beats:
    torch.manual_seed(1)
    model = Beats(CONFIG, num_labels=11)
    assert model.convolutions is not None
    model.convolutions.load_state_dict(network.state_dict())
    return model.eval()


def test_there_is_one_vector_for_each_patch(network: Convolutions):
    """Frames that fill no row are dropped, as BEATs drops them."""
    vectors = network(torch.randn(2, 98, 128), torch.tensor([6, 6]))
    assert vectors.shape == (2, 6 * BANDS, CONFIG.convolution_dim)


def test_a_patch_is_heard_where_it_stands(network: Convolutions):
    """A change of one patch's fbank changes its own vector more than any far from it."""
    fbank = torch.randn(1, 96, 128)
    changed = fbank.clone()
    row, band = 4, 1
    changed[:, 16 * row : 16 * (row + 1), 16 * band : 16 * (band + 1)] += 1.0
    rows = torch.tensor([6])
    difference = network(changed, rows) - network(fbank, rows)
    by_patch = difference.detach().norm(dim=2).view(6, BANDS)
    assert int(by_patch.argmax()) == row * BANDS + band
    assert by_patch[0].max() < by_patch[row, band] / 10


def test_a_clip_says_the_same_alone_and_beside_a_longer_one(network: Convolutions):
    fbank = torch.randn(1, 96, 128)
    padded = torch.cat([fbank, torch.randn(1, 64, 128)], dim=1)
    both = network(torch.cat([padded, torch.randn(1, 160, 128)]), torch.tensor([6, 10]))
    alone = network(fbank, torch.tensor([6]))
    torch.testing.assert_close(both[0, : 6 * BANDS], alone[0], rtol=1e-4, atol=1e-5)
    assert not both[0, 6 * BANDS :].any()


def test_embeddings_are_the_encoders_and_then_the_convolutions(model: Beats):
    waveforms, num_samples = 0.1 * torch.randn(2, 16_000), torch.tensor([16_000, 9_000])
    alone = Beats(EncoderConfig(**{**vars(CONFIG), "convolution_width": 0}), num_labels=0).eval()
    state = {key: model.state_dict()[key] for key in alone.state_dict()}
    alone.load_state_dict(state)
    with torch.no_grad():
        both, encoder = model(waveforms, num_samples), alone(waveforms, num_samples)
        assert model.convolutions is not None
        rows = torch.tensor([6, 3])
        vectors = model.convolutions(model.fbank(waveforms), rows)
    torch.testing.assert_close(both.clip_embedding[:, :24], encoder.clip_embedding)
    for clip, count in enumerate(rows.tolist()):
        mean = vectors[clip, : BANDS * count].mean(dim=0)
        torch.testing.assert_close(both.clip_embedding[clip, 24:], mean)
    assert both.row_embeddings is not None
    assert both.row_embeddings.shape == (2, 6, CONFIG.embedding_dim)


def test_kept_patches_pool_their_own_convolutions(model: Beats):
    """All patches kept say what they say without a choice; half of them something else."""
    waveforms, num_samples = 0.1 * torch.randn(2, 16_000), torch.tensor([16_000, 16_000])
    every = torch.arange(6 * BANDS).expand(2, -1)
    with torch.no_grad():
        whole = model(waveforms, num_samples)
        kept = model(waveforms, num_samples, kept=every)
        half = model(waveforms, num_samples, kept=every[:, ::2])
    torch.testing.assert_close(kept.clip_logits, whole.clip_logits)
    assert not torch.allclose(half.clip_embedding[:, 24:], whole.clip_embedding[:, 24:])


def test_the_graph_equals_pytorch_alone_and_in_a_batch(model: Beats):
    parity = assert_parity(model, create_encoder_graph(model), noise_waveforms(seed=7))
    assert set(parity.alone) == set(parity.batch) == set(OUTPUTS)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_other_precisions_stay_near(model: Beats, precision: GraphPrecision):
    batch, num_samples = pad_waveforms(noise_waveforms(seed=7))
    inputs = {"waveform": batch, "num_samples": np.asarray(num_samples, dtype=np.int64)}
    session = create_session(create_encoder_graph(model, precision))
    came = session.run(["clip_logits"], inputs)[0]
    with torch.no_grad():
        expected = model(torch.from_numpy(batch), torch.as_tensor(num_samples)).clip_logits
    np.testing.assert_allclose(came, expected.numpy(), atol=0.02, rtol=0)


def test_the_graph_has_no_node_that_asks_for_a_shape_and_no_batch_norm(model: Beats):
    operators = {node.op_type for node in create_encoder_graph(model).graph.node}
    assert not operators & {"Shape", "Size", "Range", "Loop", "BatchNormalization", "AveragePool"}


def test_files_from_before_there_were_convolutions_mean_none():
    table = to_dict(EncoderConfig())
    del table["convolution_width"]
    assert parse_section(EncoderConfig, table, complete=True) == EncoderConfig()
    del table["dim"]
    with pytest.raises(ConfigError, match="dim: missing"):
        parse_section(EncoderConfig, table, complete=True)


def test_no_convolutions_beside_patches_of_another_size():
    with pytest.raises(ConfigError, match="convolution_width: expected 0 where patches are not"):
        EncoderConfig(patch_size=32, convolution_width=4)
