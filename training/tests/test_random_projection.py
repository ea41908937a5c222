"""The random-projection tokenizer against the paper's equation written out."""

import pytest
import torch
from torch import Tensor

from earshot_training.config import ConfigError, FbankStatistics
from earshot_training.tokenizer.random_projection import (
    NORMS,
    RandomProjectionConfig,
    RandomProjectionTokenizer,
)
from tests.goldens import cases


def clips() -> dict[str, Tensor]:
    """Some of the golden waveforms: (samples,) each, of different lengths."""
    names = ("clip_5s_b", "clip_3s_odd", "clip_min_2800", "noise_3s")
    return {name: cases()[name].waveform[0] for name in names}


def tokenize_alone(tokenizer: RandomProjectionTokenizer, waveform: Tensor) -> Tensor:
    return tokenizer.tokenize(waveform[None], torch.tensor([len(waveform)]))[0]


def standardise(vector: Tensor) -> Tensor:
    centred = vector - vector.mean()
    return centred / (centred.square().mean() + 1e-5).sqrt()


def written_out(tokenizer: RandomProjectionTokenizer, tile: Tensor) -> int:
    """argmin |v_i - W x|^2 of one patch in float64, with the norm's own definition."""
    projection = tokenizer.projection.double()
    codes = tokenizer.code_vectors.double()
    patch = tile.double().flatten()
    if tokenizer.config.norm == "layer_norm":
        vector = standardise(projection @ standardise(patch))
    else:
        vector = projection @ patch
    if tokenizer.config.norm == "l2":
        vector, codes = vector / vector.norm(), codes / codes.norm(dim=1, keepdim=True)
    return int((codes - vector).square().sum(dim=1).argmin())


@pytest.mark.parametrize("norm", NORMS)
def test_equals_the_equation_written_out(norm):
    tokenizer = RandomProjectionTokenizer(RandomProjectionConfig(norm=norm))
    case = cases()["clip_5s_b"]
    tokens = tokenizer.tokenize(case.waveform, case.num_samples)[0]
    fbank = tokenizer.fbank(case.waveform)[0]
    for row in range(0, 31, 3):
        for band in range(8):
            tile = fbank[16 * row : 16 * row + 16, 16 * band : 16 * band + 16]
            assert tokens[row, band] == written_out(tokenizer, tile), (row, band)


def test_the_seed_decides_all():
    first, again = (RandomProjectionTokenizer(RandomProjectionConfig(seed=7)) for _ in range(2))
    other = RandomProjectionTokenizer(RandomProjectionConfig(seed=8))
    assert torch.equal(first.projection, again.projection)
    assert torch.equal(first.code_vectors, again.code_vectors)
    assert first.sha256 == again.sha256 != other.sha256
    waveform = clips()["clip_5s_b"]
    assert torch.equal(tokenize_alone(first, waveform), tokenize_alone(again, waveform))
    assert not torch.equal(tokenize_alone(first, waveform), tokenize_alone(other, waveform))


def test_the_seed_means_the_same_numbers_as_when_this_was_written():
    tokenizer = RandomProjectionTokenizer(RandomProjectionConfig(seed=0))
    # Xavier-normal: std sqrt(2 / (256 + 256)) = 1 / 16; the draws are PyTorch's for seed 0.
    expected = torch.tensor([-0.14440073, -0.02332818, -0.06630104, 0.06246933])
    torch.testing.assert_close(tokenizer.projection[0, :4], expected, atol=1e-6, rtol=0)
    assert float(tokenizer.projection.std()) == pytest.approx(1 / 16, rel=0.01)
    assert float(tokenizer.code_vectors.std()) == pytest.approx(1, rel=0.01)


def test_norm_sizes_and_statistics_are_part_of_the_hash():
    variants = [
        RandomProjectionTokenizer(),
        RandomProjectionTokenizer(RandomProjectionConfig(norm="l2")),
        RandomProjectionTokenizer(RandomProjectionConfig(codebook_size=512)),
        RandomProjectionTokenizer(statistics=FbankStatistics(mean=15.66439, std=6.38312)),
    ]
    assert len({variant.sha256 for variant in variants}) == len(variants)


def test_a_batch_equals_its_clips_and_padding_is_zero():
    tokenizer = RandomProjectionTokenizer()
    waveforms = list(clips().values())
    num_samples = torch.tensor([len(waveform) for waveform in waveforms])
    padded = torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True)
    tokens = tokenizer.tokenize(padded, num_samples)
    for row, waveform in enumerate(waveforms):
        alone = tokenize_alone(tokenizer, waveform)
        assert torch.equal(tokens[row, : len(alone)], alone)
        assert not tokens[row, len(alone) :].any()


def test_loudness_decides_the_token_only_without_a_norm():
    waveform = clips()["noise_3s"]
    kept = {}
    for norm in NORMS:
        tokenizer = RandomProjectionTokenizer(RandomProjectionConfig(norm=norm))
        loud, quiet = (tokenize_alone(tokenizer, gain * waveform) for gain in (1.0, 0.1))
        kept[norm] = float((loud == quiet).float().mean())
    assert kept["layer_norm"] > 0.95
    assert kept["none"] < 0.8


@pytest.mark.parametrize(
    ("values", "message"),
    [({"codebook_size": 0}, "codebook_size: expected at least 1"), ({"patch_size": 7}, "divisor")],
)
def test_impossible_sizes_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        RandomProjectionConfig(**values)
