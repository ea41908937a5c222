"""The FLOP of a report against PyTorch's own count of the same passes."""

import dataclasses

import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from earshot_training.config import EncoderConfig
from earshot_training.data.patch_mask import draw_patch_mask
from earshot_training.iterate.config import EncoderStageConfig, TokenizerStageConfig
from earshot_training.iterate.cost import (
    encoder_training_flop,
    fbank_flop,
    probe_flop,
    tokenize_flop,
    tokenizer_training_flop,
)
from earshot_training.model import encoder
from earshot_training.model.beats import Beats
from earshot_training.model.masked_tokens import MaskedTokenModel
from earshot_training.model.predictor import PredictorConfig
from earshot_training.objectives.masked_tokens import MaskedTokensConfig
from earshot_training.objectives.tokenizer_distillation import (
    DistillationConfig,
    Teacher,
    create_trainer,
)
from earshot_training.tokenizer.codebook import CodebookConfig
from earshot_training.tokenizer.distilled import DistilledTokenizerConfig
from earshot_training.tokenizer.random_projection import (
    RandomProjectionConfig,
    RandomProjectionTokenizer,
)
from earshot_training.train.loop import LoopConfig

NETWORK = EncoderConfig(
    patch_dim=32, dim=48, ffn_dim=128, layers=3, heads=4, conv_pos_kernel=32, conv_pos_groups=4
)
# PyTorch counts the weight gradient of a convolution as if it had one group.
TRAINED = dataclasses.replace(NETWORK, conv_pos_groups=1)
ROWS = 12
PATCHES = 8 * ROWS
SAMPLES = 2560 * ROWS + 240
CODES = 64
LOOP = LoopConfig(steps=1)
# PyTorch counts the gates of the attention too, and the last frame's overlap; we do not.
TOLERANCE = 0.03


def counted(run) -> int:
    """Let PyTorch count the products of matrices of a call."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


@pytest.fixture(autouse=True)
def _countable(monkeypatch: pytest.MonkeyPatch):
    """Attention as two products, which is what the counter knows of a processor.

    And the position convolution as what it is: the way through its spectrum, which training takes
    on processors, needs fewer operations than the network has, and the counter sees none of them.
    """

    def convolve(x, weight, bias, *, groups):
        padding = weight.shape[2] // 2
        return functional.conv1d(x, weight, bias, padding=padding, groups=groups)[..., :-1]

    monkeypatch.setattr(encoder, "fourier_conv", convolve)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        yield


def waveform():
    return torch.randn(1, SAMPLES) * 0.1, torch.tensor([SAMPLES])


def test_probe():
    model = Beats(NETWORK).eval()
    with torch.no_grad():
        flop = counted(lambda: model(*waveform()))
    assert probe_flop(NETWORK, PATCHES) == pytest.approx(flop, rel=TOLERANCE)


def test_masked_token_prediction():
    stage = EncoderStageConfig(
        network=TRAINED,
        loop=LOOP,
        predictor=PredictorConfig(layers=2),
        masked_tokens=MaskedTokensConfig(hidden_ratio=0.75),
    )
    model = MaskedTokenModel(Beats(TRAINED), predictor=stage.predictor, codebook_size=CODES)
    rows = torch.tensor([ROWS])
    mask = draw_patch_mask(rows, hidden_ratio=0.75, generator=torch.Generator().manual_seed(0))

    def step():
        fbank = model.encoder.fbank(waveform()[0])
        model(fbank, rows, kept=mask.kept, asked=mask.hidden).sum().backward()

    expected = encoder_training_flop(stage, PATCHES, CODES)
    assert expected == pytest.approx(counted(step), rel=TOLERANCE)
    twice = dataclasses.replace(
        stage, masked_tokens=dataclasses.replace(stage.masked_tokens, masks_per_clip=2)
    )
    fbank = fbank_flop(PATCHES)
    assert encoder_training_flop(twice, PATCHES, CODES) - fbank == 2 * (expected - fbank)


def test_tokenizer():
    stage = TokenizerStageConfig(
        network=TRAINED,
        loop=LOOP,
        codebook=CodebookConfig(codebook_size=CODES, codebook_dim=16),
        distillation=DistillationConfig(estimator_layers=2),
    )
    teacher = dataclasses.replace(TRAINED, layers=5)
    shape = DistilledTokenizerConfig(encoder=TRAINED, codebook=stage.codebook)
    source = Teacher(Beats(teacher), target="patch_vectors")
    trainer = create_trainer(shape, stage.distillation, source)
    trainer.tokenizer.codebook.start(torch.randn(100, 16), seed=0)
    rows = torch.tensor([ROWS])

    def step():
        fbank = trainer.tokenizer.fbank(waveform()[0])
        source.teach(fbank, rows)
        estimate, output = trainer(fbank, rows, target="patch_vectors")
        (estimate.sum() + output.commitment_loss).backward()

    expected = tokenizer_training_flop(stage, PATCHES, teacher=teacher)
    assert expected == pytest.approx(counted(step), rel=TOLERANCE)
    tokenizer = trainer.tokenizer.eval()
    flop = counted(lambda: tokenizer.tokenize(*waveform()))
    assert tokenize_flop(stage, PATCHES) == pytest.approx(flop, rel=TOLERANCE)


def test_random_projection():
    config = RandomProjectionConfig(codebook_size=CODES, codebook_dim=16)
    tokenizer = RandomProjectionTokenizer(config)
    flop = counted(lambda: tokenizer.tokenize(*waveform()))
    assert tokenize_flop(config, PATCHES) == pytest.approx(flop, rel=TOLERANCE)
