"""Fixtures shared by the tests of the model and of the export."""

import pytest
import torch

from tests.goldens import Case, cases


@pytest.fixture(params=sorted(cases()))
def case(request: pytest.FixtureRequest) -> Case:
    """Each golden case in turn."""
    return cases()[request.param]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Keep PyTorch from sharing out work that is too small for it: handing over costs more."""
    torch.set_num_threads(1)
