"""Fixtures that more than one test file needs, and how long a drawn example may take."""

import pytest
from hypothesis import settings

# Hypothesis fails an example that takes 200 ms, which on a busy machine any of them may.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
