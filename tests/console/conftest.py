"""A run under way, and a console over it, for all tests of a file: what they do leaves no trace."""

from collections.abc import Iterator

import pytest

from tests.support.consoles import ConsoleUnderTest, RunFolder, console


@pytest.fixture(autouse=True, scope="module")
def _state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return RunFolder(tmp_path_factory.mktemp("runs") / "20261130T000000Z-redis-slow-abcd")


@pytest.fixture(scope="module")
def served(run: RunFolder) -> Iterator[ConsoleUnderTest]:
    with console(run.dir) as found:
        yield found
