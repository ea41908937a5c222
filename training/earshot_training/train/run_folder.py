"""The folder of a run: config.json, checkpoint.pt, metrics.jsonl and artefact/."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from earshot_training.data.manifest import Clip, clip_list_sha256
from earshot_training.errors import UserError
from earshot_training.processes import is_first_process, num_processes
from earshot_training.train.loop import TrainingLoop
from earshot_training.train.run_log import NoLog, RunLog, StepLog
from earshot_training.train.source_version import source_version

CHECKPOINT_FILE = "checkpoint.pt"
CONFIG_FILE = "config.json"
METRICS_FILE = "metrics.jsonl"
ARTEFACT_FOLDER = "artefact"


def _never() -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class RunLimits:
    """What stops a call before the steps of the config are done."""

    max_steps: int | None = None
    """Steps in all, those of earlier calls included."""
    max_minutes: float | None = None
    """Of this call."""
    should_stop: Callable[[], bool] = _never
    """Asked after every step."""

    def __post_init__(self) -> None:
        """Refuse limits that let nothing happen."""
        for name in ("max_steps", "max_minutes"):
            limit = getattr(self, name)
            if limit is not None and limit <= 0:
                option = name.replace("_", "-")
                raise UserError(f"expected --{option} above 0, got {limit}")

    def after(self, seconds: float) -> "RunLimits | None":
        """Limits of what comes next in a call that has taken so long; None: nothing may begin."""
        if self.should_stop():
            return None
        if self.max_minutes is None:
            return self
        minutes = self.max_minutes - seconds / 60
        return replace(self, max_minutes=minutes) if minutes > 0 else None


def assert_startable(folder: Path, *, resume: bool) -> None:
    """Refuse to begin where a run lies, and to resume where none does.

    Raises:
        UserError: says which of the two.

    """
    checkpoint = folder / CHECKPOINT_FILE
    if resume and not checkpoint.exists():
        raise UserError(f"expected a checkpoint to resume, found no {checkpoint}")
    if checkpoint.exists() and not resume:
        raise UserError(f"expected a new folder or --resume, found {checkpoint}")


def write_config(folder: Path, config: dict[str, Any]) -> None:
    """Keep the config, as a table, beside what it leads to; the first process does."""
    if not is_first_process():
        return
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(config, indent=2) + "\n"
    (folder / CONFIG_FILE).write_text(text, encoding="utf-8")


def train_in_folder(
    loop: TrainingLoop[Any],
    folder: Path,
    *,
    print_every_steps: int,
    limits: RunLimits,
    say: Callable[[str], None],
) -> None:
    """Run the loop until its steps are done or a limit stops it, with its log in the folder."""
    log = _open_log(folder, loop, print_every_steps=print_every_steps, say=say)
    say(loop.precision_line)
    try:
        loop.run(
            log,
            max_steps=limits.max_steps,
            max_seconds=None if limits.max_minutes is None else 60 * limits.max_minutes,
            should_stop=limits.should_stop,
        )
    finally:
        log.close()


def _open_log(
    folder: Path,
    loop: TrainingLoop[Any],
    *,
    print_every_steps: int,
    say: Callable[[str], None],
) -> StepLog:
    if not is_first_process():
        return NoLog()
    return RunLog(
        folder / METRICS_FILE,
        first_step=loop.progress.step,
        print_every_steps=print_every_steps,
        say=say,
    )


def training_record(
    objective: str, loop: TrainingLoop[Any], clips: Sequence[Clip], run_config: dict[str, Any]
) -> dict[str, Any]:
    """Say what made the weights: data, config, effort, code."""
    progress = loop.progress
    return {
        "objective": objective,
        "finished": loop.is_finished,
        "steps": progress.step,
        "clips_seen": progress.clips,
        "processes": num_processes(),
        "audio_hours_seen": round(progress.audio_seconds / 3600, 3),
        "cpu_seconds": round(progress.cpu_seconds, 3),
        "wall_seconds": round(progress.wall_seconds, 3),
        "data": clips_record(clips) | {"by_license": clips_by_license(clips)},
        "config": run_config,
        "precision": loop.precision,
        "code": source_version(),
        "torch": torch.__version__,
    }


def clips_record(clips: Sequence[Clip]) -> dict[str, Any]:
    """Say which clips, how long, under which licences."""
    return {
        "sources": sorted({clip.source for clip in clips}),
        "folds": sorted({clip.fold for clip in clips if clip.fold is not None}),
        "clips": len(clips),
        "hours": round(sum(clip.seconds for clip in clips) / 3600, 3),
        "licenses": sorted({clip.license for clip in clips if clip.license is not None}),
        "clips_sha256": clip_list_sha256(clips),
    }


def clips_by_license(clips: Sequence[Clip]) -> list[dict[str, Any]]:
    """Count the clips of each source and licence."""
    seconds: dict[tuple[str, str | None], list[float]] = {}
    for clip in clips:
        seconds.setdefault((clip.source, clip.license), []).append(clip.seconds)
    return [
        {
            "source": source,
            "license": name,
            "clips": len(lengths),
            "hours": round(sum(lengths) / 3600, 3),
        }
        for (source, name), lengths in sorted(
            seconds.items(), key=lambda item: (item[0][0], item[0][1] or "")
        )
    ]
