"""A controller is killed while it strikes a part of the kept stack: nothing stays struck."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from gameday.core.clock import SystemClock
from gameday.evidence import journal
from gameday.injection.process.launch import Launch
from gameday.injection.process.process import alive, is_stopped
from gameday.run.reaper.lease import LEASE_S
from gameday.spec.undos import ProcessUndo
from gameday.stacks.persistent import put_up, take_down
from gameday.stacks.state import read_kept
from tests.support.signed import heal
from tests.support.stack_parts import BOTH, system_of

ROOT = Path(__file__).parents[2]
CLEAN_S = LEASE_S + 2.0
LATE_S = 5.0  # three at once, on a machine that may be busy


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One loop for all: they share a stack."""
    return "asyncio"


@pytest.fixture(scope="module")
async def kept(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Path]]:
    folder = tmp_path_factory.mktemp("kept")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        running = await put_up(system_of(folder, **BOTH), folder / "system.yaml", SystemClock())
        try:
            yield dict(running.parts)
        finally:
            await take_down()


class Struck:
    """A part that a controller, which was killed then, has struck."""

    def __init__(self, part: Path, run_dir: Path) -> None:
        self.part, self.dir = part, run_dir

    @classmethod
    async def by_a_killed_controller(
        cls, part: Path, do: str, run_dir: Path, *, also_its_reaper: bool = False
    ) -> "Struck":
        (run_dir / "logs").mkdir(parents=True)
        argv = ["-m", "tests.support.part_controller", str(run_dir), part.stem, do]
        pipe = asyncio.subprocess.PIPE
        controller = await asyncio.create_subprocess_exec(
            sys.executable, *argv, cwd=ROOT, stdin=pipe, stdout=pipe
        )
        assert controller.stdout is not None
        assert json.loads(await controller.stdout.readline())["injected"]
        for child in psutil.Process(controller.pid).children() if also_its_reaper else ():
            child.kill()
        controller.kill()
        await controller.wait()
        return cls(part, run_dir)

    def launch(self) -> Launch:
        found = Launch.read(self.part)
        assert found is not None
        return found

    def reaped(self) -> bool:
        path = self.dir / "reaper.jsonl"
        records = journal.read(path).records if path.exists() else ()
        return any(each.event.kind == "reaper.ended" for each in records)


async def until(holds: Callable[[], object], within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("do", ["pause", "kill"])
async def test_killed_controllers_leave_no_part_stopped_and_none_away(
    kept: dict[str, Path], tmp_path: Path, do: str
) -> None:
    names = ("service", "redis", "postgres")
    all_struck = await asyncio.gather(
        *(Struck.by_a_killed_controller(kept[name], do, tmp_path / name) for name in names)
    )

    await until(lambda: all(struck.reaped() for struck in all_struck), CLEAN_S + LATE_S)

    for struck in all_struck:
        assert await struck.launch().is_ready()
    stack = read_kept()
    assert stack is not None
    assert stack.parts(run=False) == []
    there = [pid for each in stack.undos(ProcessUndo) for pid in alive(each)]
    assert [pid for pid in there if is_stopped(pid)] == []


async def test_heal_takes_back_what_nobody_else_has(kept: dict[str, Path], tmp_path: Path) -> None:
    struck = await Struck.by_a_killed_controller(
        kept["redis"], "kill", tmp_path / "run", also_its_reaper=True
    )
    assert not struck.launch().runs()
    for _ in range(2):
        (healed,) = await heal(tmp_path / "run")
        assert healed.gone is True
    assert await struck.launch().is_ready()
