"""The loop: stopped and resumed equals uninterrupted; budgets, signals and faults."""

import json
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from earshot_training.data.sampler import SamplerPosition
from earshot_training.errors import UserError
from earshot_training.objectives.objective import StepResult
from earshot_training.train.averaging import AveragingConfig
from earshot_training.train.checkpoint import assert_same_config, load_checkpoint, save_checkpoint
from earshot_training.train.loop import LoopConfig, LoopSettings, TrainingLoop
from earshot_training.train.optimizer import OptimizerConfig
from earshot_training.train.run_log import RunLog

CPU = torch.device("cpu")


class Points(NamedTuple):
    """A batch of anything: the loop does not know what it trains on."""

    inputs: Tensor
    num_clips: int = 4
    audio_seconds: float = 2.0

    def to(self, device: torch.device) -> "Points":
        return self._replace(inputs=self.inputs.to(device))


class PointSource:
    """Batch n of epoch 0 is drawn from seed n."""

    def __init__(self) -> None:
        self._next = 0

    @property
    def position(self) -> SamplerPosition:
        return SamplerPosition(epoch=0, batch=self._next)

    def restore(self, position: SamplerPosition) -> None:
        self._next = position["batch"]

    def next_batch(self) -> Points:
        self._next += 1
        return Points(torch.randn(4, 3, generator=torch.Generator().manual_seed(self._next)))


class Regression:
    """Noise on the inputs, dropout inside the module: both kinds of randomness of a step."""

    def __init__(self, factor: float = 1.0) -> None:
        torch.manual_seed(0)
        self.module = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        self._factor = factor

    def loss(self, batch: Points, generator: torch.Generator) -> StepResult:
        noise = torch.randn(batch.inputs.shape, generator=generator)
        outputs = self.module(batch.inputs + noise)
        loss = self._factor * (outputs - batch.inputs.sum(dim=1, keepdim=True)).square().mean()
        return StepResult(loss, {"loss/squared": loss.detach()})


class FakeClock:
    """Each reading is a second later than the one before."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        self._now += 1.0
        return self._now


def settings(averaging: str = "ema", **loop: object) -> LoopSettings:
    return LoopSettings(
        loop=LoopConfig(**({"steps": 6, "accumulate": 2, "checkpoint_every_seconds": 1e9} | loop)),
        optimizer=OptimizerConfig(learning_rate=0.05),
        averaging=AveragingConfig(kind=averaging, snapshot_every_steps=2),
        seed=7,
        run_config={"seed": 7},
    )


class Run:
    """A loop in a folder, as a fresh process would make it."""

    def __init__(self, folder: Path, given: LoopSettings, *, factor: float = 1.0) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.objective = Regression(factor)
        self.loop = TrainingLoop(
            self.objective,
            PointSource(),
            given,
            checkpoint_path=folder / "checkpoint.pt",
            device=CPU,
            clock=FakeClock(),
            cpu_clock=FakeClock(),
        )

    def train(self, **limits: object) -> "Run":
        log = RunLog(
            self.folder / "metrics.jsonl",
            first_step=self.loop.progress.step,
            print_every_steps=1,
            say=self.said.append,
        )
        self.loop.run(log, **limits)
        log.close()
        return self

    def losses(self) -> list[float]:
        lines = (self.folder / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line)["loss"] for line in lines]


def resumed(folder: Path, given: LoopSettings) -> Run:
    torch.manual_seed(12345)  # the state of the global generator must not matter
    run = Run(folder, given)
    run.loop.restore()
    return run


@pytest.mark.parametrize("averaging", ["ema", "snapshots", "none"])
def test_three_and_three_steps_equal_six_bit_for_bit(tmp_path: Path, averaging: str):
    given = settings(averaging)
    whole = Run(tmp_path / "whole", given).train()
    Run(tmp_path / "parts", given).train(max_steps=3)
    parts = resumed(tmp_path / "parts", given).train()
    assert parts.losses() == whole.losses()
    assert len(whole.losses()) == 6
    for name, value in whole.objective.module.state_dict().items():
        assert torch.equal(value, parts.objective.module.state_dict()[name])
    for name, value in whole.loop.averaged_state().items():
        assert torch.equal(value, parts.loop.averaged_state()[name])
    assert whole.loop.is_finished
    assert parts.loop.is_finished


def test_steps_after_the_checkpoint_are_run_again_and_logged_once(tmp_path: Path):
    given = settings()
    Run(tmp_path, given).train(max_steps=2)
    kept = (tmp_path / "checkpoint.pt").read_bytes()
    before = resumed(tmp_path, given).train(max_steps=5).losses()
    (tmp_path / "checkpoint.pt").write_bytes(kept)  # as if the process had died before saving
    again = resumed(tmp_path, given).train(max_steps=5)
    assert again.losses() == before
    assert len(again.said) == 3


def test_accumulated_gradients_are_the_mean_of_their_batches(tmp_path: Path):
    run = Run(tmp_path, settings(accumulate=3, steps=1)).train()
    assert run.loop.progress.clips == 12
    assert run.loop.progress.audio_seconds == 6.0
    record = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert record["audio_seconds"] == 6.0
    assert record["loss"] == pytest.approx(record["loss/squared"])


def test_a_time_budget_stops_and_leaves_a_checkpoint(tmp_path: Path):
    given = settings(steps=50)
    run = Run(tmp_path, given).train(max_seconds=10)
    assert 0 < run.loop.progress.step < 50
    assert not run.loop.is_finished
    whole = Run(tmp_path / "whole", given).train()
    assert resumed(tmp_path, given).train().losses() == whole.losses()


def test_a_stop_asked_for_ends_after_the_step(tmp_path: Path):
    answers = iter([False, False, True])
    run = Run(tmp_path, settings()).train(should_stop=lambda: next(answers))
    assert run.loop.progress.step == 3
    assert load_checkpoint(tmp_path / "checkpoint.pt")["progress"]["step"] == 3


def test_checkpoints_are_written_along_the_way(tmp_path: Path):
    def fall_over_after_two_steps() -> bool:
        if next(steps, None) is None:
            raise MemoryError
        return False

    run = Run(tmp_path, settings(checkpoint_every_seconds=1))
    steps = iter(range(2))
    with pytest.raises(MemoryError):
        run.train(should_stop=fall_over_after_two_steps)
    assert load_checkpoint(tmp_path / "checkpoint.pt")["progress"]["step"] == 2


def test_effort_adds_up_over_resumptions(tmp_path: Path):
    given = settings()
    first = Run(tmp_path, given).train(max_steps=3).loop.progress
    second = resumed(tmp_path, given).train().loop.progress
    assert second.clips == 2 * first.clips == 48
    assert second.cpu_seconds > first.cpu_seconds > 0
    assert second.wall_seconds > first.wall_seconds > 0


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_the_checkpoint(tmp_path: Path):
    given = settings()
    Run(tmp_path, given).train(max_steps=2)
    broken = Run(tmp_path, given, factor=float("nan"))
    broken.loop.restore()
    with pytest.raises(UserError, match="step 3: expected a finite loss"):
        broken.train()
    assert load_checkpoint(tmp_path / "checkpoint.pt")["progress"]["step"] == 2


def test_another_config_is_refused_by_its_key():
    with pytest.raises(UserError, match=r"resume with a\.b = 1, got 2"):
        assert_same_config({"a": {"b": 1}, "c": 0}, {"a": {"b": 2}, "c": 0})
    with pytest.raises(UserError, match="resume with c = 0, got None"):
        assert_same_config({"c": 0}, {})
    assert_same_config({"a": [1]}, {"a": [1]})


def test_what_is_no_checkpoint_is_refused(tmp_path: Path):
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(UserError, match="expected a checkpoint"):
        load_checkpoint(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match="expected a checkpoint"):
        load_checkpoint(path)
    torch.save({"schema_version": 0}, path)
    with pytest.raises(UserError, match="expected a checkpoint of schema 1"):
        load_checkpoint(path)


def test_a_failed_save_leaves_the_old_checkpoint(tmp_path: Path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"step": 1})
    with pytest.raises(AttributeError):
        save_checkpoint(path, {"step": lambda: 2})
    assert load_checkpoint(path)["step"] == 1
