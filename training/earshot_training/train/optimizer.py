"""The optimizer with its parameter groups, and the learning rate as a function of the step."""

import math
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import nn

from earshot_training.config import ConfigError
from earshot_training.train.muon import Muon


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """AdamW or Muon: linear warm-up, then cosine decay; per-layer rates."""

    kind: Literal["adamw", "muon"] = "adamw"
    """`muon`: the layers' matrices by Muon, all else by AdamW."""
    muon_momentum: float = 0.95
    muon_rate_scale: float = 1.0
    """Rate of Muon's matrices, of the learning rate."""
    learning_rate: float = 1e-3
    min_learning_rate: float = 1e-6
    warmup_share: float = 0.05
    """Share of all steps that the warm-up takes."""
    weight_decay: float = 0.05
    """Of matrices; norms, biases, embeddings and gates have none."""
    beta1: float = 0.9
    beta2: float = 0.98
    epsilon: float = 1e-8
    layer_decay: float = 1.0
    """Rate of a layer = rate x layer_decay ** depth from the top; 1 trains all alike."""
    max_gradient_norm: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.min_learning_rate <= self.learning_rate:
            raise ConfigError(
                "expected 0 <= min_learning_rate <= learning_rate, "
                f"got {self.min_learning_rate} and {self.learning_rate}"
            )
        if not 0 <= self.warmup_share < 1:
            raise ConfigError(f"expected warmup_share in [0, 1), got {self.warmup_share}")
        if not 0 <= self.muon_momentum < 1:
            raise ConfigError(f"expected muon_momentum in [0, 1), got {self.muon_momentum}")
        if self.muon_rate_scale <= 0:
            raise ConfigError(f"expected muon_rate_scale above 0, got {self.muon_rate_scale}")
        if not 0 < self.layer_decay <= 1:
            raise ConfigError(f"expected layer_decay in (0, 1], got {self.layer_decay}")
        if self.max_gradient_norm <= 0:
            raise ConfigError(f"expected max_gradient_norm above 0, got {self.max_gradient_norm}")


def learning_rate_at(step: int, *, total_steps: int, config: OptimizerConfig) -> float:
    """Rate of step 0, 1, ...: up to the peak over the warm-up, then half a cosine to the minimum.

    The last step of the warm-up and the first after it have the peak; step total_steps - 1 is the
    last before the minimum is reached.
    """
    warmup_steps = round(config.warmup_share * total_steps)
    if step < warmup_steps:
        return config.learning_rate * (step + 1) / warmup_steps
    progress = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
    share = 0.5 * (1 + math.cos(math.pi * progress))
    return config.min_learning_rate + share * (config.learning_rate - config.min_learning_rate)


class JointOptimizer:
    """Several optimizers of different parameters, used as one."""

    def __init__(self, *optimizers: torch.optim.Optimizer) -> None:
        self._optimizers = optimizers

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Groups of all."""
        return [group for optimizer in self._optimizers for group in optimizer.param_groups]

    def step(self) -> None:
        """Take one step with each."""
        for optimizer in self._optimizers:
            optimizer.step()

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for optimizer in self._optimizers:
            optimizer.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on."""
        return {"optimizers": [optimizer.state_dict() for optimizer in self._optimizers]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        for optimizer, own in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(own)


AnyOptimizer = torch.optim.Optimizer | JointOptimizer


class _Group(NamedTuple):
    is_muon: bool
    rate_scale: float
    weight_decay: float


def create_optimizer(
    module: nn.Module, config: OptimizerConfig, *, muon_dtype: torch.dtype = torch.float32
) -> AnyOptimizer:
    """Optimizer of the trainable parameters; each group carries its `rate_scale`.

    `muon_dtype` is what Muon computes its steps in.
    """
    layer_indices = [_layer_index(name) for name, _ in module.named_parameters()]
    num_layers = len({index for index in layer_indices if index is not None})
    members: dict[_Group, list[nn.Parameter]] = defaultdict(list)
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            members[_group_of(name, parameter, num_layers, config)].append(parameter)
    adamw = torch.optim.AdamW(
        _as_tables(members, is_muon=False),
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
    )
    if config.kind == "adamw":
        return adamw
    matrices = _as_tables(members, is_muon=True)
    muon = Muon(matrices, lr=config.learning_rate, momentum=config.muon_momentum, dtype=muon_dtype)
    return JointOptimizer(adamw, muon)


def _group_of(
    name: str, parameter: nn.Parameter, num_layers: int, config: OptimizerConfig
) -> _Group:
    is_layer_matrix = _layer_index(name) is not None and parameter.ndim == 2
    is_muon = config.kind == "muon" and is_layer_matrix and is_decayed(name, parameter)
    rate_scale = config.layer_decay ** depth_from_top(name, num_layers=num_layers)
    return _Group(
        is_muon=is_muon,
        rate_scale=rate_scale * config.muon_rate_scale if is_muon else rate_scale,
        weight_decay=config.weight_decay if is_decayed(name, parameter) else 0.0,
    )


def _as_tables(members: dict[_Group, list[nn.Parameter]], *, is_muon: bool) -> list[dict[str, Any]]:
    return [
        {"params": parameters, "weight_decay": group.weight_decay, "rate_scale": group.rate_scale}
        for group, parameters in members.items()
        if group.is_muon == is_muon
    ]


def depth_from_top(name: str, *, num_layers: int) -> int:
    """0 for the head, 1 for the last layer, ..., num_layers + 1 for all that is below layer 0."""
    if name.startswith("predictor."):
        return 0
    index = _layer_index(name)
    return num_layers + 1 if index is None else num_layers - index


def is_decayed(name: str, parameter: nn.Parameter) -> bool:
    """Weight decay is for matrices and kernels, not for norms, biases, embeddings and gates."""
    is_excepted = "relative_bias.table" in name or ".gate." in name
    return parameter.ndim > 1 and not is_excepted


def _layer_index(name: str) -> int | None:
    match = re.search(r"(?:^|\.)layers\.(\d+)\.", name)
    return int(match.group(1)) if match else None


def set_learning_rate(optimizer: AnyOptimizer, learning_rate: float) -> None:
    """Give every group its share of the rate."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group["rate_scale"]
