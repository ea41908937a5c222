"""Stages that train: a supervised teacher, a tokenizer, its twin from another seed, an encoder.

Stopped by the budget, a stage answers None; run again, it goes on from its checkpoint.
"""

from pathlib import Path
from typing import Any

from earshot_training.audio.waveform import SAMPLE_RATE_HZ
from earshot_training.config import to_dict
from earshot_training.data.row_alignment import SAMPLES_PER_ROW
from earshot_training.iterate.config import pretrain_config, teacher_config, tokenizer_config
from earshot_training.iterate.context import RunContext
from earshot_training.iterate.cost import (
    encoder_training_flop,
    finetuning_flop,
    tokenizer_training_flop,
)
from earshot_training.iterate.run_folder import StageRecord
from earshot_training.json_file import read_json, write_json
from earshot_training.model.artefact import save_artefact
from earshot_training.train.finetune_in_folder import finetune
from earshot_training.train.held_out import held_out_batches, score_masked_tokens
from earshot_training.train.loop import Progress
from earshot_training.train.pretrain import (
    PretrainRun,
    create_encoder_artefact,
    create_pretrain_run,
)
from earshot_training.train.run_folder import (
    ARTEFACT_FOLDER,
    CHECKPOINT_FILE,
    train_in_folder,
    write_config,
)
from earshot_training.train.train_tokenizer import train_tokenizer

EARLY_SCORES_FILE = "early_scores.json"
LAST_SHARE_OF_STEPS = 0.1
"""Over this last part of a pre-training its held-out loss should hardly move any more."""


def finetune_teacher_stage(context: RunContext, iteration: int) -> StageRecord | None:
    """Fine-tune the previous encoder on labels, so that it can teach this iteration's tokenizer."""
    folder = context.folder.stage(iteration, "teacher")
    # A path that is the same from wherever the command is given: it is part of the run's config.
    encoder = _artefact(context, iteration - 1, "encoder").resolve()
    run = finetune(
        teacher_config(context.config, iteration, encoder=encoder),
        out=folder,
        device=context.device,
        resume=(folder / CHECKPOINT_FILE).exists(),
        loader_workers=context.loader_workers,
        limits=context.limits(),
        say=context.say,
    )
    if run is None or not run.loop.is_finished:
        return None
    network, progress = context.config.encoder.network, run.loop.progress
    share = run.run_config["augment"]["kept_patch_share"]
    flop = finetuning_flop(network, _mean_patches(progress, network.bands), kept_share=share)
    results = {"labels": int(run.targets.trained.sum())}
    return _training_record(iteration, "teacher", progress, flop, results)


def train_tokenizer_stage(
    context: RunContext, iteration: int, *, is_reseeded: bool
) -> StageRecord | None:
    """Distil the previous encoder, or its fine-tuned form, into the tokenizer or its twin."""
    name = "tokenizer-reseeded" if is_reseeded else "tokenizer"
    folder = context.folder.stage(iteration, name)
    teacher = _artefact(context, iteration - 1, "encoder")
    if context.config.has_supervised_teacher(iteration):
        teacher = _artefact(context, iteration, "teacher")
    run = train_tokenizer(
        tokenizer_config(context.config, iteration, is_reseeded=is_reseeded),
        teacher=teacher,
        out=folder,
        device=context.device,
        resume=(folder / CHECKPOINT_FILE).exists(),
        loader_workers=context.loader_workers,
        limits=context.limits(),
        say=context.say,
    )
    if not run.loop.is_finished:
        return None
    flop = tokenizer_training_flop(
        context.config.tokenizer,
        _mean_patches(run.loop.progress, context.config.tokenizer.network.bands),
        teacher=context.config.encoder.network,
    )
    results = {"sha256": run.tokenizer.sha256}
    return _training_record(iteration, name, run.loop.progress, flop, results)


def train_encoder_stage(context: RunContext, iteration: int) -> StageRecord | None:
    """Pre-train this iteration's encoder; score it on held-out clips near the end and there."""
    config = pretrain_config(context.config, iteration)
    folder = context.folder.stage(iteration, "encoder")
    checkpoint = folder / CHECKPOINT_FILE
    run = create_pretrain_run(
        config,
        checkpoint_path=checkpoint,
        tokens=context.folder.stage(iteration, "tokens"),
        device=context.device,
        resume=checkpoint.exists(),
        loader_workers=context.loader_workers,
    )
    write_config(folder, to_dict(config))
    early_step = early_step_of(config.loop.steps)
    early_scores = folder / EARLY_SCORES_FILE
    if not early_scores.exists():
        _train(context, run, folder, until_step=early_step)
        if run.loop.progress.step < early_step:
            return None
        write_json(early_scores, _score_held_out(context, run))
    _train(context, run, folder, until_step=config.loop.steps)
    if not run.loop.is_finished:
        return None
    artefact = create_encoder_artefact(run, config)
    save_artefact(folder / ARTEFACT_FOLDER, artefact, overwrite=True)
    patches = _mean_patches(run.loop.progress, config.encoder.bands)
    flop = encoder_training_flop(
        context.config.encoder, patches, run.model.token_predictor.to_tokens.out_features
    )
    results = {
        "masked_tokens": artefact.evaluation["masked_tokens"],
        "early_masked_tokens": read_json(early_scores),
        "early_step": early_step,
    }
    return _training_record(iteration, "encoder", run.loop.progress, flop, results)


def early_step_of(steps: int) -> int:
    """Step at which the last part of a pre-training begins."""
    return steps - max(1, round(LAST_SHARE_OF_STEPS * steps))


def _artefact(context: RunContext, iteration: int, stage: str) -> Path:
    return context.folder.stage(iteration, stage) / ARTEFACT_FOLDER


def _train(context: RunContext, run: PretrainRun, folder: Path, *, until_step: int) -> None:
    if until_step <= run.loop.progress.step or context.budget.is_spent():
        return
    train_in_folder(
        run.loop,
        folder,
        print_every_steps=context.config.encoder.loop.print_every_steps,
        limits=context.limits(until_step=until_step),
        say=context.say,
    )


def _score_held_out(context: RunContext, run: PretrainRun) -> dict[str, Any]:
    data = pretrain_config(context.config, 1).data
    scores = score_masked_tokens(
        run.objective.with_model(run.averaged_model().to(context.device)),
        held_out_batches(data, run.clips, store=run.store),
        device=context.device,
    )
    return dict(scores._asdict())


def _mean_patches(progress: Progress, bands: int) -> int:
    """Patches of a clip of the mean length of those that were learnt from."""
    samples = progress.audio_seconds * SAMPLE_RATE_HZ / progress.clips
    return bands * round(samples / SAMPLES_PER_ROW)


def _training_record(
    iteration: int, stage: str, progress: Progress, flop_per_clip: float, results: dict[str, Any]
) -> StageRecord:
    return StageRecord(
        iteration=iteration,
        stage=stage,
        wall_seconds=progress.wall_seconds,
        steps=progress.step,
        clips=progress.clips,
        flop=progress.clips * flop_per_clip,
        results=results,
    )
