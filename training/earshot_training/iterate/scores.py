"""The numbers of an iteration, from the artefacts of its stages."""

from dataclasses import dataclass

import numpy as np

from earshot_training.config import parse_section, to_dict
from earshot_training.data.token_store import TokenStore
from earshot_training.iterate.agreement import Tokens, token_agreement
from earshot_training.iterate.context import RunContext
from earshot_training.iterate.convergence import IterationScores
from earshot_training.iterate.health import codebook_health, codes_per_clip, label_information
from earshot_training.iterate.probe_files import load_probe
from earshot_training.iterate.run_folder import RunFolder, StageRecord
from earshot_training.probe.paired import Gain, paired_gain

COMPARISON_SEED = 0
"""Of shuffles and resamples: the same in every iteration and run."""


@dataclass(frozen=True, kw_only=True)
class IterationRow:
    """One line of the table: what the rule looks at, and what stands beside it."""

    scores: IterationScores
    accuracy: float
    """S: of the linear probe, a share."""
    knn_accuracy: float
    retrieval_precision: float
    masked_accuracy: float
    """M: of held-out hidden patches, a share."""
    masked_cross_entropy: float
    """M: in nats."""
    masked_unigram_entropy: float
    """In nats: what guessing by frequency scores on the same patches."""
    cross_entropy_fall: float
    """Of the held-out cross-entropy over the last steps, relative to its value before them."""
    steps: int
    """Optimizer steps, with tokenizers and their twins."""
    clips: int
    wall_seconds: float
    flop: float


def score_stage(context: RunContext, iteration: int) -> StageRecord:
    """Compare this iteration with the one before it."""
    folder = context.folder
    records = [record for record in folder.records() if record.iteration == iteration]
    results = {record.stage: record.results for record in records}
    masked, early = (results["encoder"][key] for key in ("masked_tokens", "early_masked_tokens"))
    row = IterationRow(
        scores=_to_scores(context, iteration),
        accuracy=results["probe"]["linear_accuracy"],
        knn_accuracy=results["probe"]["knn_accuracy"],
        retrieval_precision=results["probe"]["retrieval_precision"],
        masked_accuracy=masked["accuracy"],
        masked_cross_entropy=masked["cross_entropy"],
        masked_unigram_entropy=masked["unigram_entropy"],
        cross_entropy_fall=1 - masked["cross_entropy"] / early["cross_entropy"],
        steps=sum(record.steps for record in records),
        clips=sum(record.clips for record in records),
        wall_seconds=sum(record.wall_seconds for record in records),
        flop=sum(record.flop for record in records),
    )
    return StageRecord(iteration=iteration, stage="scores", wall_seconds=0.0, results=to_dict(row))


def read_rows(folder: RunFolder) -> tuple[IterationRow, ...]:
    """Read the rows of all finished iterations, 1, 2, ..."""
    return tuple(
        parse_section(IterationRow, record.results, complete=True)
        for record in folder.records()
        if record.stage == "scores"
    )


def _to_scores(context: RunContext, iteration: int) -> IterationScores:
    store = TokenStore(context.folder.stage(iteration, "probe-tokens"))
    size = store.header.codebook_size
    health = codebook_health(store.code_counts())
    information = label_information(
        codes_per_clip([store[index] for index in range(len(store))], size),
        context.probe_clips.class_ids,
        seed=COMPARISON_SEED,
    )
    gain = _gain(context.folder, iteration)
    return IterationScores(
        iteration=iteration,
        gain_pp=None if gain is None else gain.gain_pp,
        gain_standard_error_pp=None if gain is None else gain.standard_error_pp,
        agreement=_agreement(context.folder, iteration, (iteration - 1, "probe-tokens")),
        reseed_agreement=_agreement(
            context.folder, iteration, (iteration, "probe-tokens-reseeded")
        ),
        perplexity=health.perplexity,
        usage=health.usage,
        codebook_size=size,
        label_information=information.share,
        label_information_standard_error=information.standard_error,
    )


def _gain(folder: RunFolder, iteration: int) -> Gain | None:
    if iteration == 1:
        return None
    later, earlier = (load_probe(folder.stage(n, "probe")) for n in (iteration, iteration - 1))
    return paired_gain(later.linear_correct, earlier.linear_correct)


def _agreement(folder: RunFolder, iteration: int, other: tuple[int, str]) -> float | None:
    """Agreement of an iteration's tokens with those of another stage; None if there is none."""
    if not folder.stage(*other).exists():
        return None
    ours, theirs = _tokens(folder, iteration, "probe-tokens"), _tokens(folder, *other)
    return token_agreement(ours, theirs, seed=COMPARISON_SEED)


def _tokens(folder: RunFolder, iteration: int, stage: str) -> Tokens:
    store = TokenStore(folder.stage(iteration, stage))
    return np.concatenate([store[index].ravel() for index in range(len(store))])
