"""AdamW with its parameter groups, and the learning rate as a pure function of the step."""

import math
import re
from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import nn

from earshot_training.config import ConfigError


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """AdamW: linear warm-up, then cosine decay; per-layer rates."""

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


def create_optimizer(module: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW over the trainable parameters; each group carries its `rate_scale`."""
    layer_indices = [_layer_index(name) for name, _ in module.named_parameters()]
    num_layers = len({index for index in layer_indices if index is not None})
    groups: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            depth = depth_from_top(name, num_layers=num_layers)
            decay = config.weight_decay if is_decayed(name, parameter) else 0.0
            groups[config.layer_decay**depth, decay].append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "weight_decay": decay, "rate_scale": rate_scale}
            for (rate_scale, decay), parameters in groups.items()
        ],
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
    )


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


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Give every group its share of the rate."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group["rate_scale"]
