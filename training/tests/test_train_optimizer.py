"""Parameter groups, the schedule as a formula, and averages of weights computed by hand."""

import copy
import math

import pytest
import torch
from torch import nn

from earshot_training.config import ConfigError, EncoderConfig
from earshot_training.model.beats import Beats
from earshot_training.train.averaging import AveragingConfig, WeightAverage
from earshot_training.train.muon import Muon, orthogonalised
from earshot_training.train.optimizer import (
    AnyOptimizer,
    JointOptimizer,
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
    for wrong in (
        {"min_learning_rate": 1.0},
        {"layer_decay": 0.0},
        {"warmup_share": 1.0},
        {"muon_momentum": 1.0},
        {"muon_rate_scale": 0.0},
    ):
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


def test_muon_moves_the_layers_matrices_and_adamw_all_else(model: Beats):
    config = OptimizerConfig(
        kind="muon", learning_rate=1.0, muon_rate_scale=2.0, weight_decay=0.05, layer_decay=0.5
    )
    optimizer = create_optimizer(model, config)
    assert isinstance(optimizer, JointOptimizer)
    set_learning_rate(optimizer, 0.8)
    rates = {
        id(parameter): (group["lr"], "momentum" in group)
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    named = dict(model.named_parameters())
    assert len(rates) == len(named)
    by_muon = {name for name, parameter in named.items() if rates[id(parameter)][1]}
    matrices = ("query", "key", "value", "out")
    assert by_muon == {
        f"encoder.layers.{layer}.{name}.weight"
        for layer in range(3)
        for name in (*(f"attention.{part}" for part in matrices), "expand", "contract")
    }
    assert rates[id(named["encoder.layers.2.expand.weight"])][0] == pytest.approx(0.8)
    assert rates[id(named["encoder.layers.2.expand.bias"])][0] == pytest.approx(0.4)


def test_muon_takes_the_step_that_torchs_own_takes():
    torch.manual_seed(3)
    for shape in ((24, 8), (8, 24), (16, 16)):
        ours, theirs = nn.Parameter(torch.randn(shape)), nn.Parameter(torch.empty(shape))
        with torch.no_grad():
            theirs.copy_(ours)
        settings = {"lr": 0.01, "momentum": 0.9}
        pair = (
            Muon([{"params": [ours], "weight_decay": 0.1}], **settings),
            torch.optim.Muon(
                [theirs], weight_decay=0.1, adjust_lr_fn="match_rms_adamw", **settings
            ),
        )
        for _ in range(3):
            gradient = torch.randn(shape)
            before = ours.detach().clone()
            for parameter, optimizer in zip((ours, theirs), pair, strict=True):
                parameter.grad = gradient.clone()
                optimizer.step()
            # Theirs is in bfloat16, eight bits of mantissa, over five rounds.
            moved, difference = (ours - before).detach().norm(), (ours - theirs).detach().norm()
            assert float(difference / moved) < 0.05
            with torch.no_grad():
                theirs.copy_(ours)


def test_orthogonalising_keeps_directions_and_evens_out_sizes():
    torch.manual_seed(4)
    for shape in ((40, 12), (12, 40)):
        matrix = torch.randn(shape) * torch.logspace(-1, 1, shape[1])
        left, _, right = torch.linalg.svd(matrix, full_matrices=False)
        sizes = torch.einsum("ik,ij,kj->k", left, orthogonalised(matrix), right)
        assert 0.6 < float(sizes.min()) < float(sizes.max()) < 1.3
    assert torch.equal(orthogonalised(torch.zeros(3, 5)), torch.zeros(3, 5))


def test_muon_refuses_what_is_no_matrix():
    with pytest.raises(ValueError, match=r"expected matrices, got shape \(3,\)"):
        Muon([{"params": [nn.Parameter(torch.zeros(3))]}], lr=1.0)


def test_two_optimizers_resume_as_one(model: Beats):
    config = OptimizerConfig(kind="muon")
    waveform, whole = torch.randn(1, 16000), create_optimizer(model, config)

    def step(optimizer: AnyOptimizer) -> None:
        logits = model(waveform, torch.tensor([16000])).clip_logits
        assert logits is not None
        logits.square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    step(whole)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    saved = copy.deepcopy(whole.state_dict())
    step(whole)
    expected = [parameter.detach().clone() for parameter in model.parameters()]
    model.load_state_dict(weights)
    resumed = create_optimizer(model, config)
    resumed.load_state_dict(saved)
    step(resumed)
    for value, parameter in zip(expected, model.parameters(), strict=True):
        assert torch.equal(value, parameter)
