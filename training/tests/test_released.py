"""Reading the released format: what is refused, and that weight norm is multiplied out."""

import pytest
import torch

from earshot_training.errors import UserError
from earshot_training.model.artefact import load_weights
from earshot_training.model.beats import Beats
from earshot_training.model.released import map_released_state
from tests.goldens import checkpoint

SECOND_TABLE = "encoder.layers.1.self_attn.relative_attention_bias.weight"


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda cfg, _: cfg.update(deep_norm=False), "cfg.deep_norm: expected True, got False"),
        (lambda cfg, _: cfg.pop("max_distance"), "missing \\['max_distance'\\]"),
        (
            lambda _, state: state.update({"quantize.cluster_size": torch.zeros(4)}),
            "no key quantize.cluster_size",
        ),
        (
            lambda _, state: state.pop("patch_embedding.weight"),
            "Expected patch_embedding.weight in the checkpoint",
        ),
        (
            lambda _, state: state.update({SECOND_TABLE: state[SECOND_TABLE] + 1}),
            "layer 1's differs",
        ),
    ],
)
def test_refuses(change, message: str) -> None:
    released = checkpoint("pretrained.pt")
    change(released["cfg"], released["model"])
    with pytest.raises(UserError, match=message):
        map_released_state(released["cfg"], released["model"])


def test_a_missing_weight_is_named_when_it_is_loaded() -> None:
    released = checkpoint("pretrained.pt")
    del released["model"]["encoder.layers.1.fc2.bias"]
    config, weights = map_released_state(released["cfg"], released["model"])
    with pytest.raises(UserError, match=r"missing \['encoder.layers.1.contract.bias'\]"):
        load_weights(Beats(config), weights, source="pretrained.pt")
