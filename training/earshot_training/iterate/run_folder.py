"""The folder of a run of the loop: which stages are done, and what they found.

run.json                        config and clip lists; a resumed run must have the same
iteration-2/tokenizer/          what a stage makes (artefact, token store, probe results)
iteration-2/tokenizer.json      record of a stage, written last: it is there = the stage is done
metrics.jsonl                   every training step and every finished stage, in order
outcome.json                    where the run stands, and its best encoder and tokenizer
report.md, plots/*.png          for people
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from earshot_training.config import parse_section, to_dict
from earshot_training.json_file import read_json, write_json
from earshot_training.train.checkpoint import assert_same_config
from earshot_training.train.run_folder import METRICS_FILE

RUN_FILE = "run.json"
OUTCOME_FILE = "outcome.json"


@dataclass(frozen=True, kw_only=True)
class StageRecord:
    """A finished stage: what it cost and what it found."""

    iteration: int
    stage: str
    wall_seconds: float
    """Over all calls that worked on it."""
    steps: int = 0
    """Optimizer steps."""
    clips: int = 0
    """Clips run through a network, repetitions counted."""
    flop: float = 0.0
    results: dict[str, Any] = field(default_factory=dict)


class RunFolder:
    """Paths and records of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def stage(self, iteration: int, stage: str) -> Path:
        """Folder that a stage fills."""
        return self.path / f"iteration-{iteration}" / stage

    def begin(self, description: dict[str, Any]) -> None:
        """Write what the run is of; in a folder where a run lies, demand that it is the same.

        Raises:
            UserError: another run lies here, and says in which key it differs.

        """
        path = self.path / RUN_FILE
        given = json.loads(json.dumps(description))
        if path.exists():
            assert_same_config(read_json(path), given)
        else:
            write_json(path, given)

    def description(self) -> dict[str, Any]:
        """Config and clip lists of the run.

        Raises:
            UserError: no run lies here.

        """
        return read_json(self.path / RUN_FILE)

    def record(self, iteration: int, stage: str) -> StageRecord | None:
        """Record of a stage; None: it is not done."""
        path = self._record_path(iteration, stage)
        if not path.exists():
            return None
        return parse_section(StageRecord, read_json(path), complete=True, path=f"{path}: ")

    def finish(self, record: StageRecord) -> None:
        """Mark a stage as done; what it made must lie on disk by now."""
        write_json(self._record_path(record.iteration, record.stage), to_dict(record))

    def records(self) -> Iterator[StageRecord]:
        """All finished stages, in the order of the run."""
        for iteration, stage in self._possible_stages():
            record = self.record(iteration, stage)
            if record is not None:
                yield record

    def write_metrics(self) -> None:
        """Put the steps of all stages and the records of the finished ones into one file."""
        target = self.path / METRICS_FILE
        unfinished = target.with_name(target.name + ".unfinished")
        with unfinished.open("w", encoding="utf-8") as file:
            for iteration, stage in self._possible_stages():
                steps = self.stage(iteration, stage) / METRICS_FILE
                for line in _whole_lines(steps):
                    named = {"iteration": iteration, "stage": stage, **json.loads(line)}
                    file.write(json.dumps(named) + "\n")
                record = self.record(iteration, stage)
                if record is not None:
                    file.write(json.dumps(to_dict(record)) + "\n")
        os.replace(unfinished, target)

    def _possible_stages(self) -> Iterator[tuple[int, str]]:
        iteration = 1
        while (self.path / f"iteration-{iteration}").is_dir():
            yield from ((iteration, stage) for stage in STAGE_ORDER)
            iteration += 1

    def _record_path(self, iteration: int, stage: str) -> Path:
        return self.stage(iteration, stage).with_suffix(".json")


STAGE_ORDER = (
    "teacher",
    "tokenizer",
    "tokenizer-reseeded",
    "tokens",
    "probe-tokens",
    "probe-tokens-reseeded",
    "encoder",
    "probe",
    "scores",
)
"""All stages of an iteration; the first iteration and some configs leave some out."""


def _whole_lines(path: Path) -> Iterator[str]:
    """Lines of a log; one that a killed process left unfinished is passed over."""
    if path.exists():
        with path.open(encoding="utf-8") as file:
            yield from (line for line in file if line.endswith("\n"))
