"""The convolutional positions through the spectrum of windows."""

import pytest
import torch

from earshot_training.config import EncoderConfig
from earshot_training.export.encoder_graph import create_encoder_graph
from earshot_training.export.parity import assert_parity, noise_waveforms
from earshot_training.model.beats import Beats


def wide_model(kernel: int) -> Beats:
    """Two groups of 32 channels, whose kernels matter as much as what they are added to."""
    torch.manual_seed(kernel)
    config = EncoderConfig(
        patch_dim=16,
        dim=64,
        ffn_dim=32,
        layers=1,
        heads=2,
        conv_pos_kernel=kernel,
        conv_pos_groups=2,
    )
    model = Beats(config, num_labels=3).eval()
    conv = model.encoder.position_conv.conv
    torch.nn.init.normal_(conv.weight, std=0.1)
    torch.nn.init.normal_(conv.bias, std=0.5)
    return model


@pytest.mark.parametrize("kernel", [16, 15, 128])
def test_wide_groups_go_through_the_spectrum_and_come_out_the_same(kernel: int) -> None:
    """From one row to ten seconds: less than a kernel, whole windows, a part of one."""
    model = wide_model(kernel)
    graph = create_encoder_graph(model)
    names = {node.name for node in graph.graph.node}
    assert "encoder.position_conv.conv.spectra" in names
    assert_parity(model, graph, noise_waveforms(), tolerance=2e-5)


def test_float16_and_narrow_groups_are_convolved() -> None:
    for precision, convolved in (("int8", False), ("fp16", True)):
        names = {node.name for node in create_encoder_graph(wide_model(16), precision).graph.node}
        assert ("encoder.position_conv.conv.spectra" not in names) is convolved
