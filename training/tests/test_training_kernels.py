"""What training on a processor computes in its own way, against the plain formula."""

import pytest
import torch
from torch import Tensor, nn

from earshot_training.config import EncoderConfig
from earshot_training.model.attention import MASKED_SCORE
from earshot_training.model.beats import Beats
from earshot_training.model.fourier_conv import fast_length, fourier_conv
from earshot_training.model.gated_attention_cpu import gated_attention


def _attention_inputs(*, bias_clips: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    clips, heads, patches, head_dim = 3, 2, 24, 8
    shapes = [(clips, heads, patches, head_dim)] * 3
    shapes += [(clips, heads, patches, 1), (bias_clips, heads, patches, patches)]
    return [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes]


def _padding_bias() -> Tensor:
    padding = torch.zeros(3, 1, 1, 24)
    padding[1, ..., 16:] = MASKED_SCORE
    return padding


def _plain_attention(
    query: Tensor, key: Tensor, value: Tensor, gates: Tensor, bias: Tensor, padding: Tensor
) -> Tensor:
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5 + gates * bias + padding
    return scores.softmax(-1) @ value


@pytest.mark.parametrize("bias_clips", [1, 3])
def test_attention_and_its_gradients_are_those_of_the_formula(bias_clips: int):
    results = []
    for attend in (gated_attention, _plain_attention):
        inputs = _attention_inputs(bias_clips=bias_clips)
        attended = attend(*inputs, _padding_bias())
        weights = torch.randn(attended.shape, generator=torch.Generator().manual_seed(1))
        (attended * weights).sum().backward()
        results.append([attended.detach(), *(x.grad for x in inputs)])
    for ours, plain in zip(*results, strict=True):
        torch.testing.assert_close(ours, plain, atol=2e-6, rtol=1e-5)


def test_attention_in_bfloat16_stays_near_the_formula_in_float32():
    halves = _attention_inputs(bias_clips=3, dtype=torch.bfloat16)
    ours = gated_attention(*halves, _padding_bias())
    plain = _plain_attention(*(x.float() for x in halves), _padding_bias())
    assert ours.dtype == torch.bfloat16
    # Probabilities and the result are rounded to 8 bits each.
    torch.testing.assert_close(ours.float(), plain, atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize("places", [8, 31, 248])
@pytest.mark.parametrize("kernel", [16, 128])
def test_fourier_convolution_and_its_gradients_are_those_of_conv1d(places: int, kernel: int):
    generator = torch.Generator().manual_seed(0)
    results = []
    x = torch.randn(2, 12, places, generator=generator)
    conv = nn.Conv1d(12, 12, kernel, padding=kernel // 2, groups=3)
    for way in ("fourier", "direct"):
        conv.zero_grad()
        given = x.clone().requires_grad_()
        if way == "fourier":
            y = fourier_conv(given, conv.weight, conv.bias, groups=3)
        else:
            y = conv(given)[..., :places]
        (y * y.detach().sin()).sum().backward()
        results.append([y.detach(), given.grad, conv.weight.grad.clone(), conv.bias.grad.clone()])
    for ours, direct in zip(*results, strict=True):
        torch.testing.assert_close(ours, direct, atol=5e-5, rtol=1e-4)


def test_fast_lengths_are_even_and_have_small_factors():
    assert [fast_length(n) for n in (1, 7, 61, 312, 497)] == [2, 8, 64, 320, 500]


def test_model_gives_the_same_with_and_without_gradients():
    """With gradients a processor takes the kernels above, without them PyTorch's own."""
    torch.manual_seed(0)
    config = EncoderConfig(
        patch_dim=32, dim=32, ffn_dim=64, layers=2, heads=4, conv_pos_kernel=32, conv_pos_groups=4
    )
    model = Beats(config, num_labels=5)
    waveforms, num_samples = torch.randn(2, 40_000) * 0.1, torch.tensor([40_000, 17_000])
    trained = model(waveforms, num_samples)
    with torch.no_grad():
        used = model(waveforms, num_samples)
    torch.testing.assert_close(trained.row_logits, used.row_logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(trained.clip_embedding, used.clip_embedding, atol=1e-5, rtol=1e-5)
