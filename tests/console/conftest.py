"""A run under way, and a console over it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.consoles import ConsoleUnderTest, RunFolder, console


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "runs" / "20261130T000000Z-redis-slow-abcd")


@pytest.fixture
def served(run: RunFolder) -> Iterator[ConsoleUnderTest]:
    with console(run.dir) as found:
        yield found
