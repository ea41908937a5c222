"""Masked-token prediction: name the hidden patches of a clip from the kept ones."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from earshot_training.audio.fbank import num_rows
from earshot_training.config import ConfigError
from earshot_training.data.patch_mask import PatchMask, draw_patch_mask
from earshot_training.data.token_batches import TokenBatch
from earshot_training.model.encoder import Positions
from earshot_training.model.masked_tokens import MaskedTokenModel
from earshot_training.objectives.objective import StepResult, seed_layer_drop
from earshot_training.tokenizer.code_usage import code_usage, count_codes
from earshot_training.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True)
class MaskedTokensConfig:
    """Settings of masked-token prediction."""

    hidden_ratio: float = 0.75
    positions: Positions = "true"
    """Positions of the kept patches in the encoder: those they have in the clip, or as if they
    were all of it (ESPnet)."""
    label_smoothing: float = 0.1
    masks_per_clip: int = 1
    """Masks drawn per clip and step; the clip is read and tokenised once."""
    measure_kept: bool = False
    """Log the accuracy on kept patches too."""

    def __post_init__(self) -> None:
        """Refuse shares outside their range."""
        if not 0 < self.hidden_ratio < 1:
            raise ConfigError(f"hidden_ratio: expected a share in (0, 1), got {self.hidden_ratio}")
        if not 0 <= self.label_smoothing < 1:
            came = self.label_smoothing
            raise ConfigError(f"label_smoothing: expected a share in [0, 1), got {came}")
        if self.masks_per_clip < 1:
            raise ConfigError(f"masks_per_clip: expected at least 1, got {self.masks_per_clip}")


class MaskedTokensObjective:
    """Waveforms -> fbank -> masks -> token logits -> cross-entropy on the hidden patches.

    The loss is the mean over all hidden patches of the batch. Patches of padding are neither
    encoded nor predicted.

    Args:
        model: encoder and token predictor.
        config: mask and loss.
        tokenizer: names the patches of batches that bring no tokens; None: all batches bring them.

    """

    def __init__(
        self, model: MaskedTokenModel, *, config: MaskedTokensConfig, tokenizer: Tokenizer | None
    ) -> None:
        self._model = model
        self._config = config
        self._tokenizer = tokenizer

    @property
    def module(self) -> MaskedTokenModel:
        """Encoder and token predictor."""
        return self._model

    def with_model(self, model: MaskedTokenModel) -> "MaskedTokensObjective":
        """Ask another model, one with averaged weights for example, for the same."""
        return MaskedTokensObjective(model, config=self._config, tokenizer=self._tokenizer)

    def loss(self, batch: TokenBatch, generator: torch.Generator) -> StepResult:
        """Loss of one batch under masks drawn from the generator."""
        seed_layer_drop(self._model.encoder, generator)
        fbank, rows, token_ids = self._prepare(batch)
        mask = self._draw_mask(rows, generator)
        logits = self._logits(fbank, rows, kept=mask.kept, asked=mask.hidden)
        targets = token_ids.flatten()[mask.hidden]
        loss = functional.cross_entropy(
            logits.float(), targets, label_smoothing=self._config.label_smoothing
        )
        metrics = {"loss/masked": loss.detach()} | masked_metrics(logits.detach(), targets)
        if self._config.measure_kept:
            metrics["accuracy/kept"] = self._kept_accuracy(fbank, rows, mask.kept, token_ids)
        return StepResult(loss, metrics)

    @torch.no_grad()
    def predict(self, batch: TokenBatch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Logits (H, codes) and tokens (H,) of the patches hidden by masks from the generator."""
        fbank, rows, token_ids = self._prepare(batch)
        mask = self._draw_mask(rows, generator)
        logits = self._logits(fbank, rows, kept=mask.kept, asked=mask.hidden)
        return logits, token_ids.flatten()[mask.hidden]

    def _prepare(self, batch: TokenBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Fbank, rows and tokens, each clip as often as it is masked."""
        rows = num_rows(batch.num_samples, self._model.encoder.config.patch_size)
        fbank = self._model.encoder.fbank(batch.waveforms)
        token_ids = self._token_ids(batch, fbank, rows)
        masks = self._config.masks_per_clip
        if masks == 1:
            return fbank, rows, token_ids
        fbank, rows, token_ids = (
            part.repeat_interleave(masks, dim=0) for part in (fbank, rows, token_ids)
        )
        return fbank, rows, token_ids

    def _draw_mask(self, rows: Tensor, generator: torch.Generator) -> PatchMask:
        return draw_patch_mask(
            rows,
            bands=self._model.encoder.config.bands,
            hidden_ratio=self._config.hidden_ratio,
            generator=generator,
        )

    def _token_ids(self, batch: TokenBatch, fbank: Tensor, rows: Tensor) -> Tensor:
        """(B, rows, bands) int64, of the batch or of the tokenizer."""
        if batch.tokens is not None:
            return batch.tokens
        if self._tokenizer is None:
            raise ValueError("expected batches with tokens, or a tokenizer, got neither")
        return self._tokenizer.tokenize_fbank(fbank, rows)

    def _logits(self, fbank: Tensor, rows: Tensor, *, kept: Tensor, asked: Tensor) -> Tensor:
        logits: Tensor = self._model(
            fbank, rows, kept=kept, asked=asked, positions=self._config.positions
        )
        return logits

    @torch.no_grad()
    def _kept_accuracy(
        self, fbank: Tensor, rows: Tensor, kept: Tensor, token_ids: Tensor
    ) -> Tensor:
        bands = self._model.encoder.config.bands
        num_patches = token_ids.shape[1] * bands
        first = torch.arange(len(kept), device=kept.device).unsqueeze(1) * num_patches
        places = (first + kept)[kept < (rows * bands).unsqueeze(1)]
        logits = self._logits(fbank, rows, kept=kept, asked=places)
        return (logits.argmax(dim=-1) == token_ids.flatten()[places]).float().mean()


@torch.no_grad()
def masked_metrics(logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Of (H, codes) logits and (H,) tokens: accuracy, and how varied both sides are.

    Accuracy says little beside a collapsed codebook, so the targets' unigram entropy (the loss of
    guessing by frequency, in nats) and perplexity stand next to it.
    """
    predictions = logits.argmax(dim=-1)
    target_counts = count_codes(targets, logits.shape[-1])
    usage = code_usage(target_counts)
    return {
        "accuracy/masked": (predictions == targets).float().mean(),
        "tokens/unique_predictions": _count_unique(count_codes(predictions, logits.shape[-1])),
        "tokens/unique_targets": _count_unique(target_counts),
        "tokens/perplexity": usage.perplexity,
        "tokens/unigram_entropy": usage.entropy,
    }


def _count_unique(counts: Tensor) -> Tensor:
    return (counts > 0).sum().float()
