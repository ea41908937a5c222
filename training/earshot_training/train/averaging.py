"""Averages of the weights along a run: what is saved is the average, what is trained is not."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from earshot_training.config import ConfigError


@dataclass(frozen=True, kw_only=True)
class AveragingConfig:
    """Which average of the weights a run saves."""

    kind: Literal["none", "ema", "snapshots"] = "ema"
    ema_decay: float = 0.999
    snapshots: int = 5
    """How many of the latest snapshots are averaged."""
    snapshot_every_steps: int = 100

    def __post_init__(self) -> None:
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"expected ema_decay in [0, 1), got {self.ema_decay}")
        if self.snapshots < 1 or self.snapshot_every_steps < 1:
            raise ConfigError("expected snapshots and snapshot_every_steps of at least 1")


class WeightAverage:
    """Keeps the average of a module's parameters, step by step.

    `ema`: average = d * average + (1 - d) * weights, d = min(decay, (1 + steps) / (10 + steps)), so
    that the random start is soon forgotten. `snapshots`: mean of the last K snapshots, one of them
    always the present weights. `none`: the present weights.
    """

    def __init__(self, module: nn.Module, config: AveragingConfig) -> None:
        self._module = module
        self._config = config
        self._steps = 0
        self._kept: list[dict[str, Tensor]] = [_copy(module)] if config.kind == "ema" else []

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a step."""
        self._steps += 1
        if self._config.kind == "ema":
            decay = min(self._config.ema_decay, (1 + self._steps) / (10 + self._steps))
            for name, parameter in self._module.named_parameters():
                self._kept[0][name].lerp_(parameter, 1 - decay)
        elif self._config.kind == "snapshots" and self._is_snapshot_step():
            self._kept.append(_copy(self._module))
            del self._kept[: -self._config.snapshots]

    @torch.no_grad()
    def averaged_state(self) -> dict[str, Tensor]:
        """State of the module with averaged parameters (buffers as they are)."""
        state = {name: value.clone() for name, value in self._module.state_dict().items()}
        members = self._members()
        for name in members[0]:
            state[name] = torch.stack([member[name] for member in members]).mean(dim=0)
        return state

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on."""
        return {"steps": self._steps, "kept": self._kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self._steps = state["steps"]
        device = next(self._module.parameters()).device
        self._kept = [
            {name: value.to(device).clone() for name, value in member.items()}
            for member in state["kept"]
        ]

    def _members(self) -> list[dict[str, Tensor]]:
        """Weights whose plain mean is the average."""
        if self._config.kind == "ema":
            return self._kept
        if self._kept and self._is_snapshot_step():
            return self._kept
        return [*self._kept, _copy(self._module)][-self._config.snapshots :]

    def _is_snapshot_step(self) -> bool:
        return self._steps % self._config.snapshot_every_steps == 0


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
