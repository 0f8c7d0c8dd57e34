"""A run under way, and a console over it, for all tests of a file: what they do leaves no trace."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.consoles import ConsoleUnderTest, RunFolder, console
from tests.support.pages import CHROMIUM

if TYPE_CHECKING:
    from playwright.sync_api import Browser as Chromium


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


@pytest.fixture(scope="module")
def chromium() -> Iterator["Chromium"]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed here"
    )
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    with playwright.sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
