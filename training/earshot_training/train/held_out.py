"""Scores of masked-token prediction on clips that nothing was learnt from."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch.nn import functional

from earshot_training.data.clip_waveforms import ClipWaveforms
from earshot_training.data.row_alignment import AlignedClip, crop_rows, trim_to_rows
from earshot_training.data.token_batches import TokenBatch, collate_aligned
from earshot_training.data.token_store import TokenStore
from earshot_training.data.unlabelled import UnlabelledClips, UnlabelledDataConfig
from earshot_training.objectives.masked_tokens import MaskedTokensObjective
from earshot_training.tokenizer.code_usage import code_usage, count_codes

MASK_SEED = 0
"""Of all held-out masks: the same in every run, so that runs compare."""


class MaskedTokenScores(NamedTuple):
    """Means over all hidden patches; entropies in nats."""

    cross_entropy: float
    """Without label smoothing."""
    accuracy: float
    unigram_entropy: float
    """The cross-entropy of guessing by frequency."""
    perplexity: float
    """exp(unigram_entropy)."""
    hidden_patches: int


def held_out_batches(
    config: UnlabelledDataConfig, clips: UnlabelledClips, *, store: TokenStore | None
) -> Iterator[TokenBatch]:
    """Batch the held-out clips in order, longer ones cut to their first rows."""
    waveforms = ClipWaveforms(clips.of(clips.held_out))
    for start in range(0, len(waveforms), config.batch_size):
        places = range(start, min(start + config.batch_size, len(waveforms)))
        yield collate_aligned(
            [
                _first_rows(
                    trim_to_rows(
                        waveforms[place], None if store is None else store[clips.held_out[place]]
                    ),
                    config.max_rows,
                )
                for place in places
            ]
        )


@torch.no_grad()
def score_masked_tokens(
    objective: MaskedTokensObjective, batches: Iterable[TokenBatch], *, device: torch.device
) -> MaskedTokenScores:
    """Score a model, put into evaluation mode, under masks that are the same in every run."""
    objective.module.eval()
    generator = torch.Generator().manual_seed(MASK_SEED)
    cross_entropy, correct, hidden = 0.0, 0, 0
    counts: torch.Tensor | None = None
    for batch in batches:
        logits, targets = objective.predict(batch.to(device), generator)
        cross_entropy += float(functional.cross_entropy(logits.float(), targets, reduction="sum"))
        correct += int((logits.argmax(dim=-1) == targets).sum())
        hidden += len(targets)
        batch_counts = count_codes(targets, logits.shape[-1]).double()
        counts = batch_counts if counts is None else counts + batch_counts
    if counts is None:
        raise ValueError("expected at least one batch to score, got none")
    usage = code_usage(counts)
    return MaskedTokenScores(
        cross_entropy=cross_entropy / hidden,
        accuracy=correct / hidden,
        unigram_entropy=float(usage.entropy),
        perplexity=float(usage.perplexity),
        hidden_patches=hidden,
    )


def _first_rows(clip: AlignedClip, max_rows: int) -> AlignedClip:
    return crop_rows(clip, first_row=0, rows=max_rows)
