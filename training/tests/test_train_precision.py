"""Which precision a run takes on a processor with and without instructions for bfloat16."""

import pytest
import torch

from earshot_training.train.precision import describe_precision, resolved_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize("capability", ["avx512_bf16", "amx_bf16", "bf16"])
def test_auto_takes_bfloat16_where_there_are_instructions(
    capability: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, capability: True})
    assert resolved_precision("auto", CPU) == "bf16"
    assert describe_precision("auto", CPU) == "precision bf16"
    assert describe_precision("bf16", CPU) == "precision bf16"
    assert describe_precision("fp32", CPU) == "precision fp32"


def test_auto_takes_float32_elsewhere_and_bf16_is_said_to_be_slow(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "amx_bf16": False})
    assert resolved_precision("auto", CPU) == "fp32"
    assert describe_precision("auto", CPU) == "precision fp32"
    assert resolved_precision("bf16", CPU) == "bf16"
    assert "this cpu emulates: fp32 or auto is much faster" in describe_precision("bf16", CPU)


def test_the_names_are_those_that_torch_reports_here():
    assert {"avx2", "avx512_bf16", "amx_bf16"} <= set(torch.cpu.get_capabilities())
