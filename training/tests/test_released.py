"""Weights of the released format in our form."""

import torch

from earshot_training.model.released import map_released_state
from tests.goldens import checkpoint


def test_sizes_come_from_the_checkpoint() -> None:
    released = checkpoint("pretrained.pt")
    config, _ = map_released_state(released["cfg"], released["model"])
    assert (config.dim, config.patch_dim, config.heads, config.conv_pos_kernel) == (64, 32, 4, 16)
    assert (config.max_distance, config.layer_drop) == (800, 0.05)


def test_weight_norm_equals_torchs_own() -> None:
    released = checkpoint("pretrained.pt")
    _, weights = map_released_state(released["cfg"], released["model"])
    conv = torch.nn.Conv1d(64, 64, 16, groups=4)
    normed = torch.nn.utils.parametrizations.weight_norm(conv, dim=2)
    parts = normed.parametrizations.weight
    parts.original0.data = released["model"]["encoder.pos_conv.0.weight_g"]
    parts.original1.data = released["model"]["encoder.pos_conv.0.weight_v"]
    ours = weights["encoder.position_conv.conv.weight"]
    torch.testing.assert_close(ours, normed.weight.detach(), atol=1e-8, rtol=1e-6)
