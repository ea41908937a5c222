"""Masked-token prediction: what the loss counts, what the encoder sees, twenty steps."""

import json

import pytest
import torch
from torch import Tensor
from torch.nn.functional import log_softmax
from torch.testing import assert_close

from earshot_training.config import ConfigError, EncoderConfig
from earshot_training.data.patch_mask import draw_patch_mask
from earshot_training.data.token_batches import TokenBatch
from earshot_training.model.beats import Beats
from earshot_training.model.masked_tokens import MaskedTokenModel
from earshot_training.model.predictor import PredictorConfig
from earshot_training.objectives.masked_tokens import (
    MaskedTokensConfig,
    MaskedTokensObjective,
    masked_metrics,
)
from earshot_training.tokenizer.random_projection import (
    RandomProjectionConfig,
    RandomProjectionTokenizer,
)
from earshot_training.train.optimizer import OptimizerConfig, create_optimizer
from tests.goldens import FIXTURES

CODES = 20
ENCODER = EncoderConfig(
    patch_dim=16, dim=32, ffn_dim=64, layers=2, heads=4, conv_pos_kernel=16, conv_pos_groups=4
)


def fresh_model(**predictor: object) -> MaskedTokenModel:
    torch.manual_seed(0)
    config = PredictorConfig(**({"layers": 2} | predictor))
    return MaskedTokenModel(Beats(ENCODER), predictor=config, codebook_size=CODES)


def made_model(**predictor: object) -> MaskedTokenModel:
    """With wider weights at the end than fresh ones, so that every input shows in the logits."""
    model = fresh_model(**predictor)
    torch.nn.init.normal_(model.token_predictor.to_tokens.weight)
    return model


def made_batch(*, rows: tuple[int, ...] = (6, 3)) -> TokenBatch:
    generator = torch.Generator().manual_seed(2)
    num_samples = torch.tensor([2560 * count + 240 for count in rows])
    waveforms = 0.1 * torch.randn(len(rows), int(num_samples.max()), generator=generator)
    waveforms *= torch.arange(waveforms.shape[1]) < num_samples[:, None]
    tokens = torch.randint(CODES, (len(rows), max(rows), 8), generator=generator)
    tokens *= (torch.arange(max(rows)) < torch.tensor(rows)[:, None])[..., None]
    return TokenBatch(waveforms, num_samples, tokens)


def objective(model: MaskedTokenModel, **config: object) -> MaskedTokensObjective:
    return MaskedTokensObjective(model, config=MaskedTokensConfig(**config), tokenizer=None)


def loss(model: MaskedTokenModel, batch: TokenBatch, *, seed: int = 5, **config: object) -> Tensor:
    return objective(model, **config).loss(batch, torch.Generator().manual_seed(seed)).loss


def mask_of(batch: TokenBatch, *, seed: int = 5):
    """The mask that `loss` draws: the generator's second use, after that for layer drop."""
    generator = torch.Generator().manual_seed(seed)
    torch.randint(2**62, (), generator=generator)
    rows = (batch.num_samples - 240) // 2560
    return rows, draw_patch_mask(rows, hidden_ratio=0.75, generator=generator)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_mean_over_hidden_patches_written_out(smoothing):
    model, batch = made_model(), made_batch()
    rows, mask = mask_of(batch)
    every_place = torch.arange(2 * 48)
    fbank = model.encoder.fbank(batch.waveforms)
    with torch.no_grad():
        logits = model(fbank, rows, kept=mask.kept, asked=every_place)
    total, count = 0.0, 0
    for place in mask.hidden.tolist():
        clip, patch = divmod(place, 48)
        assert patch < 8 * rows[clip]
        assert patch not in mask.kept[clip]
        log_p = log_softmax(logits[place].double(), dim=-1)
        token = int(batch.tokens[clip, patch // 8, patch % 8])
        total += float(-(1 - smoothing) * log_p[token] - smoothing * log_p.mean())
        count += 1
    found = loss(model, batch, label_smoothing=smoothing)
    assert found.item() == pytest.approx(total / count, abs=1e-5)


def test_tokens_of_kept_patches_and_of_padding_count_nowhere():
    model, batch = made_model(), made_batch()
    _, mask = mask_of(batch)
    is_hidden = torch.zeros(2 * 48, dtype=torch.bool).index_fill(0, mask.hidden, True)
    flat = batch.tokens.flatten()
    others_changed = torch.where(is_hidden, flat, (flat + 1) % CODES).reshape(batch.tokens.shape)
    hidden_changed = torch.where(is_hidden, (flat + 1) % CODES, flat).reshape(batch.tokens.shape)
    expected = loss(model, batch)
    assert torch.equal(loss(model, batch._replace(tokens=others_changed)), expected)
    assert not torch.equal(loss(model, batch._replace(tokens=hidden_changed)), expected)


@pytest.mark.parametrize("positions", ["true", "compact"])
def test_hidden_patches_are_not_seen(positions):
    model, batch = made_model(), made_batch()
    rows, mask = mask_of(batch)
    fbank = model.encoder.fbank(batch.waveforms)
    changed = fbank.clone()
    for place in mask.hidden.tolist():
        clip, patch = divmod(place, 48)
        row, band = divmod(patch, 8)
        changed[clip, 16 * row : 16 * row + 16, 16 * band : 16 * band + 16] = 7.0
    arguments = {"kept": mask.kept, "asked": mask.hidden, "positions": positions}
    assert torch.equal(model(changed, rows, **arguments), model(fbank, rows, **arguments))


def test_true_and_compact_positions_differ():
    model, batch = made_model(), made_batch()
    assert (
        abs(loss(model, batch, positions="true") - loss(model, batch, positions="compact")) > 1e-4
    )


@pytest.mark.parametrize("positions", ["true", "compact"])
def test_a_clip_gives_the_same_logits_alone_and_padded(positions):
    model, batch = made_model(), made_batch()
    rows, mask = mask_of(batch)
    fbank = model.encoder.fbank(batch.waveforms)
    hidden = mask.hidden[mask.hidden >= 48]
    together = model(fbank, rows, kept=mask.kept, asked=hidden, positions=positions)
    kept = mask.kept[1:][mask.kept[1:] < 24][None]
    alone = model(
        fbank[1:, :48], torch.tensor([3]), kept=kept, asked=hidden - 48, positions=positions
    )
    assert_close(together, alone, atol=1e-5, rtol=0)


def test_several_masks_are_the_mean_of_their_losses():
    model, batch = made_model(), made_batch(rows=(6, 6))
    rows, _ = mask_of(batch)
    generator = torch.Generator().manual_seed(5)
    torch.randint(2**62, (), generator=generator)
    masks = draw_patch_mask(rows.repeat_interleave(3), hidden_ratio=0.75, generator=generator)
    fbank = model.encoder.fbank(batch.waveforms)
    losses = []
    for index, kept in enumerate(masks.kept):
        clip = index // 3
        places = torch.tensor([patch for patch in range(48) if patch not in kept])
        logits = model(fbank[clip : clip + 1], rows[:1], kept=kept[None], asked=places)
        targets = batch.tokens[clip].flatten()[places]
        losses.append(torch.nn.functional.cross_entropy(logits, targets, label_smoothing=0.1))
    found = loss(model, batch, masks_per_clip=3)
    assert_close(found, torch.stack(losses).mean(), atol=1e-5, rtol=0)


def test_zeros_stand_at_hidden_places_when_asked_for():
    model, batch = made_model(hidden_vectors="zeros"), made_batch()
    learned = made_model()
    assert "token_predictor.hidden_vector" not in dict(model.named_parameters())
    with torch.no_grad():
        learned.load_state_dict(model.state_dict(), strict=False)
        learned.token_predictor.hidden_vector.zero_()
    assert_close(loss(model, batch), loss(learned, batch))


def test_tokens_of_the_tokenizer_where_the_batch_brings_none():
    model, batch = made_model(), made_batch()
    tokenizer = RandomProjectionTokenizer(RandomProjectionConfig(codebook_size=CODES))
    tokens = tokenizer.tokenize(batch.waveforms, batch.num_samples)
    config = MaskedTokensConfig()
    made = MaskedTokensObjective(model, config=config, tokenizer=tokenizer).loss(
        batch._replace(tokens=None), torch.Generator().manual_seed(5)
    )
    assert torch.equal(made.loss, loss(model, batch._replace(tokens=tokens)))
    with pytest.raises(ValueError, match="got neither"):
        loss(model, batch._replace(tokens=None))


def test_metrics_by_hand():
    logits = torch.tensor([[3.0, 0, 0, 0], [3, 0, 0, 0], [0, 3, 0, 0], [0, 0, 3, 0]])
    metrics = masked_metrics(logits, torch.tensor([0, 1, 1, 1]))
    assert float(metrics["accuracy/masked"]) == 0.5
    assert float(metrics["tokens/unique_predictions"]) == 3
    assert float(metrics["tokens/unique_targets"]) == 2
    entropy = -(0.25 * torch.tensor(0.25).log() + 0.75 * torch.tensor(0.75).log())
    assert_close(metrics["tokens/unigram_entropy"], entropy)
    assert_close(metrics["tokens/perplexity"], entropy.exp())


def test_the_accuracy_on_kept_patches_is_theirs():
    model, batch = made_model(), made_batch()
    rows, mask = mask_of(batch)
    fbank = model.encoder.fbank(batch.waveforms)
    logits = model(fbank, rows, kept=mask.kept, asked=torch.arange(96))
    hits = [
        logits[48 * clip + patch].argmax() == batch.tokens[clip].flatten()[patch]
        for clip in range(2)
        for patch in mask.kept[clip].tolist()
        if patch < 8 * rows[clip]
    ]
    result = objective(model, measure_kept=True).loss(batch, torch.Generator().manual_seed(5))
    assert float(result.metrics["accuracy/kept"]) == pytest.approx(sum(hits) / len(hits))


@pytest.mark.parametrize(
    "values", [{"hidden_ratio": 1.0}, {"label_smoothing": 1.0}, {"masks_per_clip": 0}]
)
def test_impossible_settings_are_refused(values):
    with pytest.raises(ConfigError, match=next(iter(values))):
        MaskedTokensConfig(**values)


def test_twenty_steps_keep_their_losses():
    """A change that should change no result shows the same losses; a new golden needs a reason."""
    golden = json.loads((FIXTURES / "masked_tokens_20_steps.json").read_text())
    losses = twenty_losses()
    # Processors round differently; a step moves the loss by a hundred times this and more.
    assert losses == pytest.approx(golden, abs=1e-4)


def twenty_losses() -> list[float]:
    model = fresh_model()
    batch = made_batch(rows=(6, 6, 4))
    masked = objective(model)
    optimizer = create_optimizer(model, OptimizerConfig(learning_rate=1e-3))
    losses = []
    for step in range(20):
        result = masked.loss(batch, torch.Generator().manual_seed(step))
        result.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(result.loss.item())
    return losses
