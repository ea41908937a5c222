"""Which precision a run's products are computed in, on the device that it has."""

from typing import Literal

import torch

Precision = Literal["fp32", "bf16"]
PrecisionChoice = Literal["fp32", "bf16", "auto"]


def resolved_precision(choice: PrecisionChoice, device: torch.device) -> Precision:
    """Resolve `auto`: bf16 where it is fast, fp32 elsewhere."""
    if choice != "auto":
        return choice
    return "bf16" if has_bfloat16(device) else "fp32"


def has_bfloat16(device: torch.device) -> bool:
    """Tell whether a device has instructions for products of bfloat16.

    A processor without them emulates each: some hundred times slower than float32.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        found = torch.cpu.get_capabilities()
        return any(bool(found.get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return False


def describe_precision(choice: PrecisionChoice, device: torch.device) -> str:
    """Say in one line what a run computes in."""
    if choice == "bf16" and not has_bfloat16(device):
        return f"precision bf16, which this {device.type} emulates: fp32 or auto is much faster"
    return f"precision {resolved_precision(choice, device)}"
