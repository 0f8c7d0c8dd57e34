"""A stack that stays: what its file says, and a run that uses it."""

import asyncio
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gameday.core.clock import SystemClock
from gameday.core.errors import StackError, UsageError
from gameday.injection.drivers.folder import MARK
from gameday.spec.undos import FolderUndo, ProcessUndo
from gameday.stacks.persistent import PersistentStack, put_up, take_down
from gameday.stacks.stack import new_work_dir
from gameday.stacks.state import read_kept, stack_file, write_kept
from tests.support.stack_parts import BROKEN, Ground, running, system_of


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


async def test_a_run_reuses_what_up_left_and_leaves_it_running(tmp_path: Path) -> None:
    system = system_of(tmp_path, TOKEN="{secret}")
    up = await put_up(system, tmp_path / "system.yaml", SystemClock())
    try:
        stack = PersistentStack()
        ground = Ground(tmp_path, new_work_dir())
        used = await stack.start(system, ground.site)
        assert (used.system, used.environment) == (up.system, up.environment)
        assert used.secrets == up.secrets
        assert ground.announced == []
        assert await stack.stop() == []
        kept = read_kept()
        assert kept is not None and kept.parts(run=True) == ["service"]
        assert stack_file().stat().st_mode & 0o077 == 0
    finally:
        ended = await take_down()
    assert ended is not None and running([each.as_json() for each in ended.undo]) == []
    assert await take_down() is None


async def test_a_changed_start_needs_a_new_stack(tmp_path: Path) -> None:
    await put_up(system_of(tmp_path), tmp_path / "system.yaml", SystemClock())
    try:
        other = system_of(tmp_path, MORE="x")
        with pytest.raises(StackError, match="the kept stack runs 'tiny'") as caught:
            await PersistentStack().start(other, Ground(tmp_path, new_work_dir()).site)
        assert "gameday down" in caught.value.help
    finally:
        await take_down()


async def test_without_a_kept_stack_the_cure_is_named(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="no stack is kept running") as caught:
        await PersistentStack().start(system_of(tmp_path), Ground(tmp_path, new_work_dir()).site)
    assert (caught.value.help, caught.value.exit_code) == ("gameday up", 4)


async def test_an_up_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="exit code 3"):
        await put_up(system_of(tmp_path, BROKEN), tmp_path / "system.yaml", SystemClock())
    assert not stack_file().exists()


class Spoiling(SystemClock):
    """A clock in whose first wait something happens to a start, and its folder is no more ours."""

    def __init__(self, then: Callable[[], object]) -> None:
        self._then = [then]

    async def sleep(self, seconds: float) -> None:
        if self._then:
            (folder_of_the_kept() / MARK).write_text("somebody else's")
            self._then.pop()()
        await super().sleep(seconds)


def folder_of_the_kept() -> Path:
    kept = read_kept()
    assert kept is not None
    return kept.undos(FolderUndo)[0].path


async def failed(folder: Path, then: Callable[["asyncio.Task[object]"], object]) -> BaseException:
    """What a start ends with that leaves its folder behind, which is removed after it."""
    places: list[Path] = []

    def happens() -> None:
        places.append(folder_of_the_kept())
        then(starting)

    up = put_up(system_of(folder), folder / "system.yaml", Spoiling(happens))
    starting: asyncio.Task[object] = asyncio.create_task(up)
    (error,) = await asyncio.gather(starting, return_exceptions=True)
    assert isinstance(error, BaseException)
    shutil.rmtree(places[0])
    return error


def broken(_: object) -> None:
    raise ZeroDivisionError("a bug")


def no_room(_: object) -> None:
    """The stack's file cannot be replaced any more, as on a full disk."""
    stack_file().unlink()
    stack_file().mkdir()


def ill(_: object) -> None:
    raise StackError("the service is ill", help="mend it")


@pytest.mark.parametrize(
    ("then", "why", "cure"),
    [
        (lambda starting: starting.cancel(), "it was interrupted", "gameday down"),
        (no_room, "Is a directory", "gameday down"),
        (ill, "the service is ill", "gameday down, then: mend it"),
    ],
)
async def test_a_start_that_leaves_something_tells_its_own_cause(
    tmp_path: Path, then: Callable[[object], object], why: str, cure: str
) -> None:
    error = await failed(tmp_path, then)
    assert isinstance(error, StackError)
    assert why in error.message
    assert "; still there: /" in error.message
    assert error.help == cure


async def test_a_bug_in_a_start_that_leaves_something_stays_a_bug(tmp_path: Path) -> None:
    error = await failed(tmp_path, broken)
    assert isinstance(error, ZeroDivisionError)
    (note,) = error.__notes__
    assert note.startswith("still there: /")
    assert note.endswith("gameday down ends it")


async def test_what_a_dead_stack_left_is_cleared_by_the_next_up(tmp_path: Path) -> None:
    system = system_of(tmp_path)
    await put_up(system, tmp_path / "system.yaml", SystemClock())
    first = read_kept()
    assert first is not None
    processes, folder = first.undos(ProcessUndo), first.undos(FolderUndo)
    gone = [replace(each, start_time="1@before", token="", part=None) for each in processes]
    write_kept(first.model_copy(update={"undo": (*folder, *gone)}))
    try:
        await put_up(system, tmp_path / "system.yaml", SystemClock())
        assert not folder[0].path.exists()
    finally:
        await take_down()
        write_kept(first)
        await take_down()


KEPT = {
    "schema_": 1,
    "started_at": "2026-11-29T00:00:00+00:00",
    "name": "tiny",
    "system_file": "/s.yaml",
    "start": {"argv": ["true"], "ready": "/"},
    "secrets": ["hunter2"],
}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"schema_": 2}, "'schema' is 2, which this gameday"),
        ({"orchestrator": {"token": "hunter2"}}, "'orchestrator' is not known to this gameday"),
        ({"state": "frozen"}, "'state' is 'frozen', which this gameday"),
        ({"undo": [{"kind": "pod", "token": "hunter2"}]}, "the kind 'pod' is not known"),
        ({"undo": ["hunter2"]}, "'undo.0', which this gameday"),
        ({"replicas": {"kind": "scale", "name": "service"}}, "'project' is missing"),
        ({"secrets": {"new": "hunter2"}}, "'secrets', which this gameday"),
        ({"start": 5}, "'start', which this gameday"),
    ],
)
async def test_a_file_of_a_newer_gameday_is_told_by_what_is_not_known(
    change: dict[str, object], told: str
) -> None:
    stack_file().write_text(json.dumps(KEPT))
    assert read_kept() is not None
    stack_file().write_text(json.dumps({**KEPT, **change}))
    with pytest.raises(StackError) as caught:
        await take_down()
    error = caught.value
    assert error.message.startswith(f"{stack_file()}: ") and told in error.message, error.message
    assert "end it with that one: gameday down" in error.help
    assert error.exit_code == 4
    assert "hunter2" not in f"{error.message} {error.help} {error.__cause__}"


@pytest.mark.parametrize("torn", [0, 20, 100])
async def test_a_torn_file_is_told_as_one(torn: int) -> None:
    stack_file().write_text(json.dumps(KEPT)[:torn])
    with pytest.raises(StackError, match="it is not whole") as caught:
        await take_down()
    assert f"remove {stack_file()}" in caught.value.help


async def test_a_system_without_start_cannot_be_kept(tmp_path: Path) -> None:
    system = system_of(tmp_path).model_copy(update={"start": None})
    with pytest.raises(UsageError, match="has no `start`"):
        await put_up(system, tmp_path / "system.yaml", SystemClock())
