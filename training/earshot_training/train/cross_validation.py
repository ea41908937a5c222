"""Each fold in turn scored by a tagger that was trained on the others."""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from earshot_training.config import ConfigError, to_dict
from earshot_training.data.manifest import in_folds, read_manifest
from earshot_training.data.readable import leave_out_unreadable, say_faults
from earshot_training.errors import UserError
from earshot_training.model.artefact import load_artefact, save_artefact
from earshot_training.processes import is_first_process
from earshot_training.train.checkpoint import assert_same_config
from earshot_training.train.evaluation import evaluate
from earshot_training.train.evaluation_files import write_evaluation
from earshot_training.train.finetune import FinetuneConfig
from earshot_training.train.finetune_in_folder import finetune
from earshot_training.train.run_folder import (
    ARTEFACT_FOLDER,
    CHECKPOINT_FILE,
    CONFIG_FILE,
    RunLimits,
)

EVALUATION_FILE = "evaluation.json"
SUMMARY_FILE = "cross_validation.json"
SCORES = ("accuracy", "mean_average_precision", "mean_auc", "d_prime")


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

    Each tagger learns from the other folds and is scored as it is after its last step: no fold
    chooses a checkpoint. `out/cross_validation.json` then holds every fold's scores, their mean and
    their standard deviation. With `resume`, folds that are done stay, and the others go on.

    Raises:
        UserError: fewer than two folds, a run lies in the folder already.

    """
    _assert_folds(folds, config)
    limits = limits or RunLimits()
    started = time.monotonic()
    for fold in folds:
        others = tuple(other for other in folds if other != fold)
        of_fold = replace(config, data=replace(config.data, folds=others))
        folder = out / f"fold-{fold}"
        if resume and (folder / EVALUATION_FILE).exists():
            _assert_config(folder, of_fold)
            continue
        left = _limits_left(limits, time.monotonic() - started)
        if left is None:
            return False
        say(f"fold {fold}: training on folds {', '.join(map(str, others))}")
        run = finetune(
            of_fold,
            out=folder,
            device=device,
            resume=resume and (folder / CHECKPOINT_FILE).exists(),
            loader_workers=loader_workers,
            limits=left,
            say=say,
        )
        if not run.loop.is_finished:
            return False
        if is_first_process():
            _score(folder, config.data.manifest, fold, device=device, say=say)
    if is_first_process():
        say(_summarise(out, folds))
    return True


def _assert_folds(folds: Sequence[int], config: FinetuneConfig) -> None:
    if len(set(folds)) < 2 or len(set(folds)) != len(folds):
        raise UserError(f"expected at least two different folds, got {list(folds)}")
    if config.data.folds:
        raise ConfigError(
            f"data.folds: expected none, for the folds take turns, got {list(config.data.folds)}"
        )


def _limits_left(limits: RunLimits, spent_seconds: float) -> RunLimits | None:
    """Limits of the next fold; None when no time is left."""
    if limits.max_minutes is None:
        return limits
    minutes = limits.max_minutes - spent_seconds / 60
    return replace(limits, max_minutes=minutes) if minutes > 0 else None


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
    write_evaluation(folder / EVALUATION_FILE, evaluation)


def _summarise(out: Path, folds: Sequence[int]) -> str:
    """Write the summary; returns it as a table."""
    rows = [{"fold": fold, **_scores(out / f"fold-{fold}" / EVALUATION_FILE)} for fold in folds]
    means = {name: _spread([row[name] for row in rows]) for name in SCORES}
    summary = {"folds": rows, "over_folds": means, "checkpoint": "last"}
    text = json.dumps(summary, indent=2, allow_nan=False)
    (out / SUMMARY_FILE).write_text(text + "\n", encoding="utf-8")
    lines = ["fold      " + "  ".join(f"{name:>22}" for name in SCORES)]
    lines += [_line(f"{row['fold']}", [row[name] for name in SCORES]) for row in rows]
    lines.append(_line("mean", [means[name]["mean"] for name in SCORES]))
    lines.append(_line("deviation", [means[name]["standard_deviation"] for name in SCORES]))
    return "\n".join(lines)


def _scores(path: Path) -> dict[str, Any]:
    record = json.loads(path.read_text(encoding="utf-8"))
    accuracy = record["accuracy"]
    return {
        **{name: record[name] for name in SCORES if name != "accuracy"},
        "accuracy": None if accuracy is None else accuracy["value"],
        "clips": record["data"]["clips"],
        "clips_sha256": record["data"]["clips_sha256"],
    }


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
    """Mean and sample deviation; None where a fold has no score."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return {"mean": None, "standard_deviation": None}
    return {"mean": statistics.fmean(known), "standard_deviation": statistics.stdev(known)}


def _line(name: str, values: Sequence[float | None]) -> str:
    return f"{name:<10}" + "  ".join(
        f"{'-':>22}" if value is None else f"{value:>22.4f}" for value in values
    )
