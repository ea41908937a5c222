"""Fixtures shared by the tests of the model and of the export."""

import pytest

from tests.goldens import Case, cases


@pytest.fixture(params=sorted(cases()))
def case(request: pytest.FixtureRequest) -> Case:
    """Each golden case in turn."""
    return cases()[request.param]
