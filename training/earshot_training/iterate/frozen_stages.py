"""Stages that only run networks: naming patches, probing an encoder.

They have no checkpoint: stopped in the middle, they start anew.
"""

import shutil
import time

from earshot_training.audio.waveform import SAMPLE_RATE_HZ
from earshot_training.data.row_alignment import SAMPLES_PER_ROW
from earshot_training.iterate.context import RunContext
from earshot_training.iterate.cost import probe_flop, tokenize_flop
from earshot_training.iterate.probe_files import save_probe
from earshot_training.iterate.run_folder import StageRecord
from earshot_training.model.artefact import load_artefact
from earshot_training.probe.probe import probe_encoder
from earshot_training.tokenizer.artefact import load_tokenizer
from earshot_training.tokenizer.distilled import DistilledTokenizer
from earshot_training.tokenizer.make_tokens import make_tokens
from earshot_training.tokenizer.random_projection import RandomProjectionTokenizer
from earshot_training.train.run_folder import ARTEFACT_FOLDER


def name_corpus_stage(context: RunContext, iteration: int) -> StageRecord:
    """Name every patch of the corpus: what this iteration's encoder is to predict."""
    return _name_patches(context, iteration, "tokens", tokenizer="tokenizer", is_corpus=True)


def name_probe_stage(context: RunContext, iteration: int, *, is_reseeded: bool) -> StageRecord:
    """Name the patches of the probe's clips, where tokenizers are compared."""
    suffix = "-reseeded" if is_reseeded else ""
    return _name_patches(
        context,
        iteration,
        f"probe-tokens{suffix}",
        tokenizer=f"tokenizer{suffix}",
        is_corpus=False,
    )


def probe_stage(context: RunContext, iteration: int) -> StageRecord:
    """Probe this iteration's frozen encoder."""
    started = time.monotonic()
    config, clips = context.config.probe, context.probe_clips
    folder = context.folder.stage(iteration, "encoder") / ARTEFACT_FOLDER
    model = load_artefact(folder).model
    result = probe_encoder(model, clips, config, device=context.device)
    save_probe(context.folder.stage(iteration, "probe"), result, clips)
    heard_seconds = sum(min(clip.seconds, config.max_clip_seconds) for clip in clips.clips)
    rows = heard_seconds / len(clips.clips) * SAMPLE_RATE_HZ / SAMPLES_PER_ROW
    return StageRecord(
        iteration=iteration,
        stage="probe",
        wall_seconds=time.monotonic() - started,
        clips=len(clips.clips),
        flop=len(clips.clips) * probe_flop(model.config, round(rows) * model.config.bands),
        results={
            "linear_accuracy": result.linear_accuracy,
            "knn_accuracy": result.knn_accuracy,
            "retrieval_precision": result.retrieval_precision,
        },
    )


def _name_patches(
    context: RunContext, iteration: int, stage: str, *, tokenizer: str, is_corpus: bool
) -> StageRecord:
    started = time.monotonic()
    folder = context.folder.stage(iteration, stage)
    shutil.rmtree(folder, ignore_errors=True)
    made = make_tokens(
        _load_tokenizer(context, iteration, tokenizer),
        context.corpus.manifest if is_corpus else context.probe_clips.clips,
        folder,
        device=context.device,
        say=context.say,
    )
    config, header = context.config, made.header
    patches = round(header.num_tokens / header.num_clips)
    sizes = config.random_projection if iteration == 1 else config.tokenizer
    return StageRecord(
        iteration=iteration,
        stage=stage,
        wall_seconds=time.monotonic() - started,
        clips=header.num_clips,
        flop=header.num_clips * tokenize_flop(sizes, patches),
        results={
            "tokens": header.num_tokens,
            "codebook_size": header.codebook_size,
            "perplexity": made.perplexity,
            "usage": made.codebook_usage,
            "tokenizer_sha256": header.tokenizer_sha256,
        },
    )


def _load_tokenizer(
    context: RunContext, iteration: int, stage: str
) -> DistilledTokenizer | RandomProjectionTokenizer:
    if iteration == 1:
        config, statistics = context.config.random_projection, context.config.fbank
        return RandomProjectionTokenizer(config, statistics=statistics).to(context.device)
    folder = context.folder.stage(iteration, stage) / ARTEFACT_FOLDER
    return load_tokenizer(folder).tokenizer.to(context.device)
