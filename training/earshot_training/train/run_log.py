"""What a run says while it runs: `metrics.jsonl`, a line per step, and lines on the console."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol


class StepLog(Protocol):
    """What the loop tells its steps."""

    def step(self, record: Mapping[str, float]) -> None:
        """Log one step; `record["step"]` counts from 1."""

    def close(self) -> None:
        """Log no more."""


class NoLog:
    """Of the processes beside the first, whose log speaks for all."""

    def step(self, record: Mapping[str, float]) -> None:
        """Keep silent."""

    def close(self) -> None:
        """Keep silent."""


class RunLog:
    """Writes every step to a file and now and then a step to the console.

    A resumed run drops the steps that came after its checkpoint: they are run again.

    Args:
        path: the JSON-lines file.
        first_step: number of steps already done; later ones are dropped from the file.
        print_every_steps: how often a step is shown.
        say: where console lines go.

    """

    def __init__(
        self,
        path: Path,
        *,
        first_step: int,
        print_every_steps: int,
        say: Callable[[str], None],
    ) -> None:
        self._print_every_steps = print_every_steps
        self._say = say
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(_lines_until(path, first_step)), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8")

    def step(self, record: Mapping[str, float]) -> None:
        """Log one step; `record["step"]` counts from 1."""
        self._file.write(json.dumps(dict(record)) + "\n")
        self._file.flush()
        if int(record["step"]) % self._print_every_steps == 0 or record["step"] == 1:
            self._say(_to_line(record))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _lines_until(path: Path, last_step: int) -> list[str]:
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= last_step]


def _to_line(record: Mapping[str, float]) -> str:
    return (
        f"step {int(record['step']):6d}  loss {record['loss']:8.4f}  "
        f"lr {record['learning_rate']:.2e}  {record['clips_per_second']:6.1f} clips/s  "
        f"{record['audio_seconds']:6.1f} s of audio a step"
    )
