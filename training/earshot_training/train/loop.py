"""The one training loop: it knows steps, rates, averages and checkpoints, no objective by name."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from earshot_training.config import ConfigError
from earshot_training.data.sampler import SamplerPosition, mix_seed
from earshot_training.errors import UserError
from earshot_training.objectives.objective import Objective, TrainingBatch
from earshot_training.processes import (
    is_first_process,
    num_processes,
    process_rank,
    sum_over_processes,
)
from earshot_training.train.averaging import AveragingConfig, WeightAverage
from earshot_training.train.checkpoint import assert_same_config, load_checkpoint, save_checkpoint
from earshot_training.train.optimizer import (
    OptimizerConfig,
    create_optimizer,
    learning_rate_at,
    set_learning_rate,
)
from earshot_training.train.parallel import ParallelLoss
from earshot_training.train.precision import (
    Precision,
    PrecisionChoice,
    describe_precision,
    resolved_precision,
)
from earshot_training.train.run_log import StepLog

BatchT = TypeVar("BatchT", bound=TrainingBatch)
BatchT_co = TypeVar("BatchT_co", bound=TrainingBatch, covariant=True)


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """Length and shape of a run."""

    steps: int
    """Optimizer steps of the whole run; the schedule is laid over them. 0 keeps the start."""
    accumulate: int = 1
    """Batches per step and process. A step's loss is the mean over the batches of all processes."""
    precision: PrecisionChoice = "fp32"
    """bf16: autocast around the model; weights and optimizer stay float32. auto: bf16 on devices
    that have instructions for it, fp32 on others."""
    checkpoint_every_seconds: float = 120.0
    print_every_steps: int = 20

    def __post_init__(self) -> None:
        """Refuse less than nothing, and steps of nothing."""
        for name, least in (("steps", 0), ("accumulate", 1), ("print_every_steps", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name}: expected at least {least}, got {getattr(self, name)}")


class BatchSource(Protocol[BatchT_co]):
    """Endless batches with a position that can be restored."""

    @property
    def position(self) -> SamplerPosition:
        """Of the batch that comes next."""

    def restore(self, position: SamplerPosition) -> None:
        """Continue from a position."""

    def next_batch(self) -> BatchT_co:
        """One batch, on the CPU."""


@dataclass(kw_only=True)
class Progress:
    """How far a run has come, added up over all its resumptions."""

    step: int = 0
    clips: int = 0
    audio_seconds: float = 0.0
    cpu_seconds: float = 0.0
    """Processor time of all threads of all processes, reading of clips included."""
    wall_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """The configs that a loop needs, and the whole config of the run for its checkpoint."""

    loop: LoopConfig
    optimizer: OptimizerConfig
    averaging: AveragingConfig
    seed: int
    run_config: dict[str, Any]


class TrainingLoop(Generic[BatchT]):
    """Trains an objective's module; stopped at any step, it goes on as if it had not been.

    Everything random in a step follows from seed and step, and the order of the data from the
    source's position, so a resumed run on one CPU equals an uninterrupted one bit for bit.

    Started by torchrun, N processes do together what one does with N times the batches per step:
    batch b of a step falls to process b mod N, and brings its own randomness along.

    Args:
        objective: gives the loss; its module is trained in place.
        source: gives the batches.
        settings: configs.
        checkpoint_path: where the state is kept.
        device: where the module lies.
        clock: monotonic seconds.
        cpu_clock: processor seconds of this process.

    """

    def __init__(
        self,
        objective: Objective[BatchT],
        source: BatchSource[BatchT],
        settings: LoopSettings,
        *,
        checkpoint_path: Path,
        device: torch.device,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        self.progress = Progress()
        self._objective = objective
        self._source = source
        self._settings = settings
        self._checkpoint_path = checkpoint_path
        self._device = device
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._clocks_read = (clock(), cpu_clock())
        self.precision: Precision = resolved_precision(settings.loop.precision, device)
        self._optimizer = create_optimizer(
            objective.module,
            settings.optimizer,
            muon_dtype=torch.bfloat16 if self.precision == "bf16" else torch.float32,
        )
        self._average = WeightAverage(objective.module, settings.averaging)
        self._loss = ParallelLoss(objective)

    @property
    def is_finished(self) -> bool:
        """All steps of the schedule are done."""
        return self.progress.step >= self._settings.loop.steps

    @property
    def precision_line(self) -> str:
        """For whoever starts it: which precision it computes in."""
        return describe_precision(self._settings.loop.precision, self._device)

    def averaged_state(self) -> dict[str, Tensor]:
        """State of the module with averaged weights: what is worth keeping of a run."""
        return self._average.averaged_state()

    def restore(self) -> None:
        """Go on from the checkpoint.

        Raises:
            UserError: no usable checkpoint, or one that was made with another config.

        """
        state = load_checkpoint(self._checkpoint_path)
        assert_same_config(state["config"], self._settings.run_config)
        # A checkpoint without the number was left by one process.
        if (processes := state.get("processes", 1)) != num_processes():
            raise UserError(f"expected to resume with {processes} processes, got {num_processes()}")
        self._objective.module.load_state_dict(state["module"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._average.load_state_dict(state["average"])
        self._source.restore(state["position"])
        self.progress = Progress(**state["progress"])

    def run(
        self,
        log: StepLog,
        *,
        max_steps: int | None = None,
        max_seconds: float | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Train until the schedule ends or a limit is met, then leave a checkpoint.

        Args:
            log: told of every step.
            max_steps: stop once so many steps are done in all; the schedule stays as it is.
            max_seconds: stop after this much time in this call.
            should_stop: asked after every step; one process's yes stops them all.

        """
        loop = self._settings.loop
        last_step = loop.steps if max_steps is None else min(max_steps, loop.steps)
        started = saved = self._clock()
        self._objective.module.train()
        while self.progress.step < last_step:
            log.step(self._step())
            now = self._clock()
            is_spent = max_seconds is not None and now - started >= max_seconds
            if self._any_process(should_stop() or is_spent):
                break
            if self._any_process(now - saved >= loop.checkpoint_every_seconds):
                self._save()
                saved = now
        self._save()

    def _step(self) -> dict[str, float]:
        """One optimizer step; returns its record."""
        settings, step = self._settings, self.progress.step
        rate = learning_rate_at(step, total_steps=settings.loop.steps, config=settings.optimizer)
        set_learning_rate(self._optimizer, rate)
        started = self._clock()
        clips, audio_seconds, metrics = self._accumulate(step)
        norm = nn.utils.clip_grad_norm_(
            self._objective.module.parameters(), settings.optimizer.max_gradient_norm
        )
        self._assert_finite(metrics["loss"], float(norm))
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._average.update()
        self.progress.step += 1
        self.progress.clips += clips
        self.progress.audio_seconds += audio_seconds
        return {
            "step": self.progress.step,
            **metrics,
            "learning_rate": rate,
            "gradient_norm": float(norm),
            "clips": clips,
            "clips_per_second": clips / max(self._clock() - started, 1e-9),
            "audio_seconds": audio_seconds,
        }

    def _accumulate(self, step: int) -> tuple[int, float, dict[str, float]]:
        """Gradients of all micro-steps; clips, their seconds, and the mean of the metrics."""
        loop = self._settings.loop
        clips, audio_seconds = 0, 0.0
        totals: dict[str, Tensor] = {}
        for micro_step in range(loop.accumulate):
            batch_of_step = micro_step * num_processes() + process_rank()
            seed = mix_seed(self._settings.seed, step, batch_of_step)
            torch.manual_seed(seed)
            batch = self._source.next_batch()
            clips += batch.num_clips
            audio_seconds += batch.audio_seconds
            result = self._loss.add_gradients(
                batch.to(self._device),
                torch.Generator().manual_seed(seed),
                divisor=loop.accumulate,
                is_last=micro_step == loop.accumulate - 1,
                autocast=torch.autocast(
                    self._device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"
                ),
            )
            for name, value in {"loss": result.loss.detach(), **result.metrics}.items():
                totals[name] = totals.get(name, torch.zeros_like(value)) + value
        sums = self._over_processes([clips, audio_seconds, *map(float, totals.values())])
        batches = loop.accumulate * num_processes()
        metrics = {name: total / batches for name, total in zip(totals, sums[2:], strict=True)}
        return int(sums[0]), sums[1], metrics

    def _over_processes(self, numbers: Sequence[float]) -> list[float]:
        """Sum of each number over all processes."""
        if num_processes() == 1:
            return list(numbers)
        sums = torch.tensor(numbers, dtype=torch.float64, device=self._device)
        return [float(value) for value in sum_over_processes(sums).tolist()]

    def _any_process(self, flag: bool) -> bool:
        return self._over_processes([float(flag)])[0] > 0

    def _assert_finite(self, loss: float, gradient_norm: float) -> None:
        if not (abs(loss) < float("inf") and abs(gradient_norm) < float("inf")):
            raise UserError(
                f"step {self.progress.step + 1}: expected a finite loss and gradient, got loss "
                f"{loss} and gradient norm {gradient_norm}; the last checkpoint is untouched"
            )

    def _save(self) -> None:
        wall, cpu = self._clock(), self._cpu_clock()
        self.progress.wall_seconds += wall - self._clocks_read[0]
        self.progress.cpu_seconds += self._over_processes([cpu - self._clocks_read[1]])[0]
        self._clocks_read = (wall, cpu)
        if not is_first_process():
            return
        save_checkpoint(
            self._checkpoint_path,
            {
                "config": self._settings.run_config,
                "processes": num_processes(),
                "progress": asdict(self.progress),
                "position": dict(self._source.position),
                "module": self._objective.module.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "average": self._average.state_dict(),
            },
        )
