"""Fixtures that more than one test file needs, and how long a drawn example may take."""

import hypothesis
import pytest
from hypothesis import settings

# Hypothesis fails an example that takes 200 ms, which on a busy machine any of them may.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

# How long an example takes is a statement about the machine: a busy one needs more than 200 ms.
hypothesis.settings.register_profile("gameday", deadline=None)
hypothesis.settings.load_profile("gameday")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
