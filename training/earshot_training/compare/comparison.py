"""One fine-tuning budget from several starts, each cross-validated over the same folds.

RUN/NAME/              a cross-validation like any other, beside it start.json and probe.json
RUN/table.md, .json    all starts that are done, each held against the first
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from earshot_training.compare.starts import Start, keep_start
from earshot_training.compare.table import PROBE_FILE, write_table
from earshot_training.config import ConfigError
from earshot_training.data.manifest import Clip, in_folds, read_manifest
from earshot_training.data.readable import leave_out_unreadable
from earshot_training.json_file import write_json
from earshot_training.model.artefact import load_artefact
from earshot_training.probe.probe import ProbeConfig, probe_encoder, to_scores, usable_clips
from earshot_training.train.cross_validation import cross_validate
from earshot_training.train.finetune import FinetuneConfig
from earshot_training.train.run_folder import RunLimits


def compare(
    config: FinetuneConfig,
    starts: Sequence[Start],
    *,
    folds: Sequence[int],
    out: Path,
    device: torch.device,
    loader_workers: int = 0,
    limits: RunLimits | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> bool:
    """Probe and cross-validate every start; whether all are done.

    Called again on the same folder it goes on: finished folds and probes stay. `table.md` and
    `table.json` hold the starts that are done; the first of them is what the others are held to.

    Raises:
        ConfigError: a config with a start of its own.
        UserError: a start or a config other than the folder's; folds that cannot take turns.

    """
    if config.init is not None:
        raise ConfigError(f"init: expected none, for the starts take turns, got {config.init}")
    limits = limits or RunLimits()
    scored, _ = leave_out_unreadable(in_folds(read_manifest(config.data.manifest), folds))
    started = time.monotonic()
    # All starts are looked at before the first is trained from: a fault should show at once.
    for start in starts:
        keep_start(out / start.name, start, scored)
    for number, start in enumerate(starts, start=1):
        left = limits.after(time.monotonic() - started)
        if left is None:
            return False
        say(f"start {number} of {len(starts)}: {start.name}")
        _probe_once(out / start.name, start, scored, folds=folds, device=device)
        is_done = cross_validate(
            replace(config, init=start.artefact),
            folds=folds,
            out=out / start.name,
            device=device,
            resume=True,
            loader_workers=loader_workers,
            limits=left,
            say=say,
        )
        if not is_done:
            return False
        say(write_table(out, [start.name for start in starts[:number]], config, folds))
    return True


def _probe_once(
    folder: Path, start: Start, clips: Sequence[Clip], *, folds: Sequence[int], device: torch.device
) -> None:
    """Probe the start's encoder on the clips of the folds; from scratch there is none to probe."""
    path = folder / PROBE_FILE
    if start.artefact is None or path.exists():
        return
    if any(clip.class_name is None for clip in clips):
        return
    probed = usable_clips(clips)
    model = load_artefact(start.artefact).model
    result = probe_encoder(model, probed, ProbeConfig(score_folds=tuple(folds)), device=device)
    write_json(path, to_scores(result))
