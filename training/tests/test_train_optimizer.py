"""Parameter groups, the schedule as a formula, and averages of weights computed by hand."""

import math

import pytest
import torch
from torch import nn

from earshot_training.config import ConfigError, EncoderConfig
from earshot_training.model.beats import Beats
from earshot_training.train.averaging import AveragingConfig, WeightAverage
from earshot_training.train.optimizer import (
    OptimizerConfig,
    create_optimizer,
    learning_rate_at,
    set_learning_rate,
)


def test_the_rate_climbs_to_its_peak_and_falls_along_half_a_cosine():
    config = OptimizerConfig(learning_rate=1.0, min_learning_rate=0.1, warmup_share=0.1)
    rates = [learning_rate_at(step, total_steps=100, config=config) for step in range(101)]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    expected = [0.1 + 0.9 * math.cos(math.pi * (step - 10) / 180) ** 2 for step in range(10, 101)]
    assert rates[10:] == pytest.approx(expected)
    assert rates[100] == pytest.approx(0.1)
    assert learning_rate_at(500, total_steps=100, config=config) == pytest.approx(0.1)


def test_without_warm_up_the_first_step_has_the_peak():
    config = OptimizerConfig(learning_rate=2.0, warmup_share=0.0)
    assert learning_rate_at(0, total_steps=3, config=config) == 2.0


@pytest.fixture
def model() -> Beats:
    config = EncoderConfig(
        patch_dim=16, dim=16, ffn_dim=32, layers=3, heads=2, conv_pos_kernel=16, conv_pos_groups=4
    )
    return Beats(config, num_labels=5)


def test_every_parameter_is_in_the_group_of_its_layer_and_kind(model: Beats):
    config = OptimizerConfig(weight_decay=0.05, layer_decay=0.5, learning_rate=1.0)
    optimizer = create_optimizer(model, config)
    set_learning_rate(optimizer, 0.8)
    found = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    named = dict(model.named_parameters())
    assert len(found) == len(named)
    expected = {
        "predictor.weight": (0.8, 0.05),
        "predictor.bias": (0.8, 0.0),
        "encoder.layers.2.attention.query.weight": (0.4, 0.05),
        "encoder.layers.2.attention.gate.weight": (0.4, 0.0),
        "encoder.layers.2.attention.gate_scale": (0.4, 0.0),
        "encoder.layers.0.expand.weight": (0.1, 0.05),
        "encoder.layers.0.final_norm.weight": (0.1, 0.0),
        "encoder.relative_bias.table.weight": (0.05, 0.0),
        "encoder.position_conv.conv.weight": (0.05, 0.05),
        "encoder.norm.weight": (0.05, 0.0),
        "patch_embed.tile.weight": (0.05, 0.05),
    }
    for name, rate_and_decay in expected.items():
        assert found[id(named[name])] == pytest.approx(rate_and_decay), name
    for name, parameter in named.items():
        if parameter.ndim == 1:
            assert found[id(parameter)][1] == 0.0, name


def test_frozen_parameters_are_left_out(model: Beats):
    model.patch_embed.requires_grad_(requires_grad=False)
    groups = create_optimizer(model, OptimizerConfig()).param_groups
    optimized = sum(len(group["params"]) for group in groups)
    frozen = sum(1 for _ in model.patch_embed.parameters())
    assert optimized == sum(1 for _ in model.parameters()) - frozen


def test_settings_out_of_range_are_refused():
    for wrong in ({"min_learning_rate": 1.0}, {"layer_decay": 0.0}, {"warmup_share": 1.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            OptimizerConfig(**wrong)


def averages_of(values: list[float], config: AveragingConfig) -> list[float]:
    """Average after each step of a single weight that takes these values."""
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    average = WeightAverage(module, config)
    seen = []
    for value in values:
        nn.init.constant_(module.weight, value)
        average.update()
        seen.append(float(average.averaged_state()["weight"]))
    return seen


def test_the_ema_forgets_its_start_and_then_keeps_its_decay():
    values = [1.0, 3.0, -2.0, 5.0, 0.5]
    expected, average = [], 0.0
    for step, value in enumerate(values, start=1):
        decay = min(0.35, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * value
        expected.append(average)
    config = AveragingConfig(kind="ema", ema_decay=0.35)
    assert averages_of(values, config) == pytest.approx(expected)


def test_snapshots_are_the_mean_of_the_latest_with_the_present_weights():
    values = [float(value) for value in range(1, 8)]
    config = AveragingConfig(kind="snapshots", snapshots=3, snapshot_every_steps=2)
    expected = [1, 2, (2 + 3) / 2, (2 + 4) / 2, (2 + 4 + 5) / 3, (2 + 4 + 6) / 3, (4 + 6 + 7) / 3]
    assert averages_of(values, config) == pytest.approx(expected)


def test_no_average_is_the_weights_themselves():
    assert averages_of([1.0, 4.0], AveragingConfig(kind="none")) == [1.0, 4.0]


def test_a_restored_average_goes_on():
    for kind in ("ema", "snapshots"):
        config = AveragingConfig(kind=kind, snapshot_every_steps=2)
        torch.manual_seed(0)
        module = nn.Linear(2, 2)
        whole = WeightAverage(module, config)
        nn.init.ones_(module.weight)
        whole.update()
        resumed = WeightAverage(module, config)
        resumed.load_state_dict(whole.state_dict())
        nn.init.constant_(module.weight, 3.0)
        for average in (whole, resumed):
            average.update()
        for name, value in whole.averaged_state().items():
            assert torch.equal(value, resumed.averaged_state()[name])
