"""Muon: matrices are moved by the nearest orthogonal matrix of their momentum."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

NEWTON_SCHULZ_STEPS = 5
NEWTON_SCHULZ_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, made orthogonal, with AdamW's decoupled weight decay.

    Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers"; the size of a step, 0.2 x
    sqrt(longer side) x rate, is that of Liu et al. 2025 (arXiv 2502.16982, section 2.2): a matrix
    moves by as much as AdamW would move it, so that one learning rate serves both. As
    `torch.optim.Muon(adjust_lr_fn="match_rms_adamw")`, but in a precision of choice:
    docs/decisions/0018 says why.

    Args:
        params: groups of matrices, each with its `weight_decay`.
        lr: rate as AdamW would have it.
        momentum: of the running mean of gradients.
        dtype: in which momentum is made orthogonal; bfloat16 where there are instructions for it.

    Raises:
        ValueError: a parameter that is not a matrix.

    """

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        *,
        lr: float,
        momentum: float = 0.95,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._dtype = dtype
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": 0.0})
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.ndim != 2:
                    raise ValueError(f"expected matrices, got shape {tuple(parameter.shape)}")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # closures are not for this one
        """Move every matrix that has a gradient."""
        if closure is not None:
            raise ValueError("expected no closure")
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, group)

    def _move(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        mean: Tensor = state["momentum"].lerp_(gradient, 1 - group["momentum"])
        direction = orthogonalised(gradient.lerp(mean, group["momentum"]), self._dtype)
        rate = group["lr"]
        parameter.mul_(1 - rate * group["weight_decay"])
        parameter.add_(direction, alpha=-0.2 * max(parameter.shape) ** 0.5 * rate)


def orthogonalised(matrix: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Nearly the orthogonal factor U V^T of a matrix U S V^T: singular values go to about 1.

    Five rounds of a quintic Newton-Schulz iteration; what it leaves lies between some 0.7 and 1.2.
    A matrix of zeros stays zero.
    """
    a, b, c = NEWTON_SCHULZ_COEFFICIENTS
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if is_tall else matrix
    x = (x / x.norm().clamp(min=1e-7)).to(dtype)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.T if is_tall else x).to(matrix.dtype)
