"""Fixtures that more than one test file needs."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
