"""Each fold in turn scored by a tagger that was trained on the others."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from earshot_training.config import to_dict
from earshot_training.data.manifest import in_folds, read_manifest
from earshot_training.data.readable import leave_out_unreadable, say_faults
from earshot_training.errors import UserError
from earshot_training.model.artefact import load_artefact, save_artefact
from earshot_training.processes import is_first_process
from earshot_training.train.checkpoint import assert_same_config
from earshot_training.train.cross_validation_summary import (
    EVALUATION_FILE,
    fold_folder,
    is_scored,
    write_summary,
)
from earshot_training.train.evaluation import evaluate
from earshot_training.train.evaluation_files import write_evaluation
from earshot_training.train.finetune import FinetuneConfig
from earshot_training.train.finetune_in_folder import finetune, is_begun
from earshot_training.train.heard_clips import overlaps_training
from earshot_training.train.run_folder import (
    ARTEFACT_FOLDER,
    CONFIG_FILE,
    RunLimits,
)
from earshot_training.train.scored_clips import save_scored_clips


def assert_untold_start(config: FinetuneConfig, folds: Sequence[int]) -> None:
    """Refuse a start that has learnt labels of what is to be scored; its sounds it may have heard.

    Raises:
        UserError: names the fold.

    """
    clips = read_manifest(config.data.manifest)
    for fold in folds:
        start = _start_of_fold(config.init, fold)
        if start is None:
            continue
        training = load_artefact(start).training
        if overlaps_training(in_folds(clips, [fold]), training, objective="tagging"):
            raise UserError(
                f"{start}: expected a start that has not learnt the labels of fold {fold}, "
                "which is to be scored"
            )


def cross_validate(
    config: FinetuneConfig,
    *,
    folds: Sequence[int],
    out: Path,
    device: torch.device,
    resume: bool = False,
    loader_workers: int = 0,
    limits: RunLimits | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> bool:
    """Train and score `out/fold-N` for every fold N; whether all of them are done.

    Each tagger learns from the other folds, and from those that the config names, but from no clip
    of a recording in the scored fold, whatever its source. So a config that names all folds is
    that of the tagger to keep, and of those that say what it is worth. Each is scored as it is
    after its last step: no fold chooses a checkpoint. Where the config starts from the folder of
    another cross-validation, each fold starts from its own tagger there. Every fold keeps its
    clips' logits, and `out/cross_validation.json` sums up what they say. With `resume`, folds that
    are done stay, and the others go on.

    Raises:
        UserError: fewer than two folds, a run lies in the folder already.

    """
    _assert_folds(folds)
    limits = limits or RunLimits()
    started = time.monotonic()
    for fold in folds:
        of_fold = _config_of_fold(config, folds, fold)
        folder = fold_folder(out, fold)
        if resume and is_scored(folder):
            _assert_config(folder, of_fold)
            continue
        left = limits.after(time.monotonic() - started)
        if left is None:
            return False
        say(f"fold {fold}: training on folds {', '.join(map(str, of_fold.data.folds))}")
        run = finetune(
            of_fold,
            out=folder,
            device=device,
            resume=resume and is_begun(folder),
            loader_workers=loader_workers,
            limits=left,
            say=say,
        )
        if run is None or not run.loop.is_finished:
            return False
        if is_first_process():
            _score(folder, config.data.manifest, fold, device=device, say=say)
    if is_first_process():
        say(write_summary(out, folds))
    return True


def _assert_folds(folds: Sequence[int]) -> None:
    if len(set(folds)) < 2 or len(set(folds)) != len(folds):
        raise UserError(f"expected at least two different folds, got {list(folds)}")


def _config_of_fold(config: FinetuneConfig, folds: Sequence[int], fold: int) -> FinetuneConfig:
    data = replace(
        config.data,
        folds=tuple(sorted({*folds, *config.data.folds} - {fold})),
        held_out_folds=(*config.data.held_out_folds, fold),
    )
    return replace(config, data=data, init=_start_of_fold(config.init, fold))


def _start_of_fold(init: Path | None, fold: int) -> Path | None:
    """Give the artefact that a fold starts from; of a cross-validation, its tagger of the fold."""
    if init is None or not fold_folder(init, fold).is_dir():
        return init
    return fold_folder(init, fold) / ARTEFACT_FOLDER


def _assert_config(folder: Path, config: FinetuneConfig) -> None:
    """Refuse to count a fold that was trained with another config."""
    saved = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    given = to_dict(config)
    for table in (saved, given):
        table["data"].pop("manifest")
        table.pop("init")
    assert_same_config(saved, given)


def _score(
    folder: Path, manifest: Path, fold: int, *, device: torch.device, say: Callable[[str], None]
) -> None:
    clips, faults = leave_out_unreadable(in_folds(read_manifest(manifest), [fold]))
    say_faults(faults, say)
    evaluation = evaluate(load_artefact(folder / ARTEFACT_FOLDER), clips, device=device)
    evaluation.artefact.model.cpu()
    save_artefact(folder / ARTEFACT_FOLDER, evaluation.artefact, overwrite=True)
    save_scored_clips(folder, evaluation.scored)
    write_evaluation(folder / EVALUATION_FILE, evaluation)
