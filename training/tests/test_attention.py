"""Gated relative position attention against the formulas, written out."""

import math

import pytest
import torch
from torch import Tensor

from earshot_training.config import EncoderConfig
from earshot_training.model.attention import (
    MAX_PATCHES,
    GatedAttention,
    RelativePositionBias,
    relative_bucket_ids,
)

CONFIG = EncoderConfig(
    patch_dim=8, dim=12, ffn_dim=16, layers=1, heads=3, conv_pos_groups=4, conv_pos_kernel=4
)


def literal_bucket(distance: int, num_buckets: int, max_distance: int) -> int:
    """Bucket of a distance in float32, as the released code computes it."""
    half = num_buckets // 2
    exact = half // 2
    side = half if distance > 0 else 0
    size = torch.tensor(abs(distance))
    if size < exact:
        return side + int(size)
    logarithm = torch.log(size.float() / exact) / math.log(max_distance / exact)
    large = exact + (logarithm * (half - exact)).to(torch.long)
    return side + min(int(large), half - 1)


# The last has edges at whole numbers, where float64 would fall on the other side.
@pytest.mark.parametrize(
    ("num_buckets", "max_distance"), [(320, 800), (320, 1280), (32, 128), (160, 1280)]
)
def test_buckets_equal_the_literal_formula(num_buckets: int, max_distance: int) -> None:
    ids = relative_bucket_ids(num_buckets, max_distance)
    distances = range(1 - MAX_PATCHES, MAX_PATCHES)
    assert ids.tolist() == [literal_bucket(d, num_buckets, max_distance) for d in distances]


def test_named_buckets_of_the_released_model() -> None:
    ids = relative_bucket_ids(320, 800)
    named = {0: 0, -1: 1, 1: 161, -79: 79, 79: 239, -80: 80, -800: 159, 800: 319, 4095: 319}
    assert {distance: int(ids[distance + MAX_PATCHES - 1]) for distance in named} == named
    assert 160 not in ids.tolist()


def test_bias_of_a_whole_sequence_equals_the_bias_at_its_positions() -> None:
    bias = RelativePositionBias(CONFIG)
    positions = torch.arange(200).unsqueeze(0)
    torch.testing.assert_close(bias(200), bias.at(positions), atol=0, rtol=0)
    gradients = []
    for values in (bias(200), bias.at(positions)):
        weights = torch.linspace(-1, 1, values.numel()).view_as(values)
        gradients.append(torch.autograd.grad((values * weights).sum(), bias.table.weight)[0])
    torch.testing.assert_close(*gradients, atol=1e-3, rtol=1e-4)


def test_bias_refuses_too_long_a_sequence() -> None:
    with pytest.raises(ValueError, match="at most 4096 patches, got 4097"):
        RelativePositionBias(CONFIG)(4097)


def written_out_attention(
    attention: GatedAttention, bias: RelativePositionBias, x: Tensor, num_valid: int
) -> Tensor:
    """One clip, head by head and query by query: (N, D) -> (N, D)."""
    heads, size = CONFIG.heads, CONFIG.head_dim
    query, key, value = (
        project(x).view(-1, heads, size)
        for project in (attention.query, attention.key, attention.value)
    )
    result = torch.zeros(len(x), heads, size)
    for head in range(heads):
        for i in range(len(x)):
            outputs = attention.gate(query[i, head])
            gate_a, gate_b = torch.sigmoid(outputs[:4].sum()), torch.sigmoid(outputs[4:].sum())
            gate = gate_a * (gate_b * attention.gate_scale[head] - 1) + 2
            scores = torch.stack(
                [
                    query[i, head] @ key[j, head] / math.sqrt(size)
                    + gate * bias.table.weight[literal_bucket(j - i, 320, 800), head]
                    for j in range(num_valid)
                ]
            )
            result[i, head] = scores.softmax(dim=0) @ value[:num_valid, head]
    return attention.out(result.flatten(1))


@torch.no_grad()
def test_attention_equals_the_written_out_formula() -> None:
    torch.manual_seed(3)
    attention, bias = GatedAttention(CONFIG).eval(), RelativePositionBias(CONFIG)
    attention.gate_scale.copy_(torch.tensor([0.3, 1.0, 2.5]))
    x, num_valid = torch.randn(2, 24, 12), (24, 16)
    padding = torch.arange(24) >= torch.tensor(num_valid).unsqueeze(1)
    attended = attention(x, bias(24), padding)
    for clip, valid in enumerate(num_valid):
        expected = written_out_attention(attention, bias, x[clip], valid)
        torch.testing.assert_close(attended[clip], expected, atol=2e-6, rtol=0)


@torch.no_grad()
def test_attention_dropout_acts_in_training_alone() -> None:
    torch.manual_seed(4)
    config = EncoderConfig(dim=12, heads=3, conv_pos_groups=4, attention_dropout=0.5)
    attention, bias = GatedAttention(config), RelativePositionBias(config)
    x, padding = torch.randn(1, 16, 12), torch.zeros(1, 16, dtype=torch.bool)
    inputs = x, bias(16), padding
    assert not torch.equal(attention(*inputs), attention(*inputs))
    attention.eval()
    torch.testing.assert_close(attention(*inputs), attention(*inputs), atol=0, rtol=0)
