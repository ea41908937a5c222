"""The self-distilled tokenizer: released goldens, padding, gradients, its form on disk."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from earshot_training.config import ConfigError, EncoderConfig
from earshot_training.errors import UserError
from earshot_training.model.artefact import Artefact, load_weights, save_artefact
from earshot_training.model.beats import Beats
from earshot_training.tokenizer.artefact import TokenizerArtefact, load_tokenizer, save_tokenizer
from earshot_training.tokenizer.codebook import CodebookConfig
from earshot_training.tokenizer.distilled import (
    DistilledTokenizer,
    DistilledTokenizerConfig,
    Estimator,
)
from earshot_training.tokenizer.released import map_released_tokenizer_state
from tests.goldens import FIXTURES, cases, checkpoint

CONFIG = DistilledTokenizerConfig(
    encoder=EncoderConfig(
        patch_dim=16,
        dim=32,
        ffn_dim=64,
        layers=2,
        heads=4,
        conv_pos_kernel=16,
        conv_pos_groups=4,
    ),
    codebook=CodebookConfig(codebook_size=24, codebook_dim=8),
)


def released_tokenizer() -> DistilledTokenizer:
    released = checkpoint("tokenizer.pt")
    config, weights = map_released_tokenizer_state(released["cfg"], released["model"])
    tokenizer = DistilledTokenizer(config)
    load_weights(tokenizer, weights, source="tokenizer.pt")
    return tokenizer.eval()


def golden_tokens(name: str) -> Tensor:
    with np.load(FIXTURES / "cases.npz") as arrays:
        return torch.from_numpy(arrays[f"{name}/tokens"]).long()


def made_tokenizer() -> DistilledTokenizer:
    torch.manual_seed(0)
    tokenizer = DistilledTokenizer(CONFIG)
    tokenizer.codebook.start(torch.randn(100, 8), seed=0)
    return tokenizer.eval()


def made_batch() -> tuple[Tensor, Tensor]:
    """(2, 16000) and valid lengths: six rows and three."""
    torch.manual_seed(1)
    waveforms = 0.1 * torch.randn(2, 16_000)
    num_samples = torch.tensor([16_000, 9_000])
    waveforms[1, 9_000:] = 0
    return waveforms, num_samples


def test_released_tokens_clip_by_clip(case):
    tokens = released_tokenizer().tokenize(case.waveform, case.num_samples)
    assert torch.equal(tokens.flatten(), golden_tokens(case.name))


def test_released_tokens_in_one_mixed_batch():
    waveforms = [case.waveform[0] for case in cases().values()]
    num_samples = torch.tensor([len(waveform) for waveform in waveforms])
    padded = torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True)
    tokens = released_tokenizer().tokenize(padded, num_samples)
    for row, name in enumerate(cases()):
        expected = golden_tokens(name)
        found = tokens[row].flatten()
        assert torch.equal(found[: len(expected)], expected), name
        assert not found[len(expected) :].any(), name


@pytest.mark.parametrize("key", ["quantize_layer.2.bias", "quantize.embedding.weight"])
def test_a_released_checkpoint_without_a_quantiser_is_refused(key):
    released = checkpoint("tokenizer.pt")
    state = {name: value for name, value in released["model"].items() if name != key}
    with pytest.raises(UserError, match=key):
        map_released_tokenizer_state(released["cfg"], state)


def test_an_encoder_checkpoint_is_not_a_tokenizer():
    released = checkpoint("pretrained.pt")
    with pytest.raises(UserError, match="checkpoint of a tokenizer"):
        map_released_tokenizer_state(released["cfg"], released["model"])


def test_a_clip_gives_the_same_alone_and_padded():
    tokenizer = made_tokenizer()
    waveforms, num_samples = made_batch()
    together = tokenizer(tokenizer.fbank(waveforms), torch.tensor([6, 3]))
    tokens = tokenizer.tokenize(waveforms, num_samples)
    for row in range(2):
        length = int(num_samples[row])
        alone_tokens = tokenizer.tokenize(
            waveforms[row : row + 1, :length], num_samples[row : row + 1]
        )
        rows = alone_tokens.shape[1]
        assert torch.equal(tokens[row, :rows], alone_tokens[0])
        assert torch.equal(together.token_ids[row, : 8 * rows], alone_tokens.flatten())
        assert not together.quantized[row, 8 * rows :].any()


def test_padding_has_no_part_in_the_losses():
    tokenizer = made_tokenizer()
    waveforms, _ = made_batch()
    together = tokenizer(tokenizer.fbank(waveforms), torch.tensor([6, 3]))
    alone = [
        tokenizer(tokenizer.fbank(waveforms[:1]), torch.tensor([6])),
        tokenizer(tokenizer.fbank(waveforms[1:, :9_000]), torch.tensor([3])),
    ]
    expected = (6 * alone[0].commitment_loss + 3 * alone[1].commitment_loss) / 9
    assert_close(together.commitment_loss, expected)


def test_gradient_reaches_the_encoder_through_the_codes():
    tokenizer = made_tokenizer().train()
    waveforms, _ = made_batch()
    output = tokenizer(tokenizer.fbank(waveforms), torch.tensor([6, 3]))
    estimator = Estimator(CONFIG, layers=1, target_dim=None)
    estimator(output.quantized, output.patch_padding).square().mean().backward()
    untouched = [name for name, weight in tokenizer.named_parameters() if weight.grad is None]
    assert untouched == []
    assert all(weight.grad.abs().sum() > 0 for weight in tokenizer.head.parameters())
    assert tokenizer.encoder.patch_embed.tile.weight.grad.abs().sum() > 0


def test_tokens_are_refused_in_training_mode():
    with pytest.raises(RuntimeError, match="evaluation mode"):
        made_tokenizer().train().tokenize(*made_batch())


def test_the_estimate_of_a_clip_is_the_mean_over_its_patches():
    tokenizer = made_tokenizer()
    waveforms, _ = made_batch()
    output = tokenizer(tokenizer.fbank(waveforms), torch.tensor([6, 3]))
    estimator = Estimator(CONFIG, layers=2, target_dim=5).eval()
    per_patch = estimator(output.quantized, output.patch_padding)
    of_clip = estimator.of_clip(output.quantized, output.patch_padding)
    assert per_patch.shape == (2, 48, 5)
    expected = torch.stack([per_patch[0].mean(dim=0), per_patch[1, :24].mean(dim=0)])
    assert_close(of_clip, expected, atol=1e-5, rtol=0)


def test_on_disk_and_back(tmp_path: Path):
    tokenizer = made_tokenizer()
    artefact = TokenizerArtefact(tokenizer=tokenizer, training={"steps": 3})
    save_tokenizer(tmp_path / "tokenizer", artefact)
    loaded = load_tokenizer(tmp_path / "tokenizer")
    assert loaded.training == {"steps": 3}
    assert loaded.tokenizer.sha256 == tokenizer.sha256
    batch = made_batch()
    assert torch.equal(loaded.tokenizer.tokenize(*batch), tokenizer.tokenize(*batch))


def test_every_weight_and_code_is_part_of_the_hash():
    tokenizer = made_tokenizer()
    hashes = {tokenizer.sha256}
    with torch.no_grad():
        tokenizer.head[0].bias[0] += 1
        hashes.add(tokenizer.sha256)
        tokenizer.codebook.code_vectors[0] *= -1
        hashes.add(tokenizer.sha256)
    assert len(hashes) == 3


def test_weights_of_another_hash_are_refused(tmp_path: Path):
    folder = tmp_path / "tokenizer"
    save_tokenizer(folder, TokenizerArtefact(tokenizer=made_tokenizer()))
    card = json.loads((folder / "artefact.json").read_text())
    (folder / "artefact.json").write_text(json.dumps(card | {"sha256": "0" * 64}))
    with pytest.raises(UserError, match="expected a tokenizer of sha256 000"):
        load_tokenizer(folder)


def test_the_artefact_of_an_encoder_is_not_a_tokenizer(tmp_path: Path):
    encoder = Artefact(model=Beats(CONFIG.encoder), kind="pretrained")
    save_artefact(tmp_path / "encoder", encoder)
    with pytest.raises(ConfigError, match=r"artefact\.json"):
        load_tokenizer(tmp_path / "encoder")
    with pytest.raises(UserError, match="expected the artefact of a tokenizer"):
        load_tokenizer(tmp_path / "nothing")
