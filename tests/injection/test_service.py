"""Parts of a real stack ended, stopped and started again: the same port, the same token."""

import asyncio
import json
import os
import signal
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis.asyncio

from gameday.core.clock import SystemClock
from gameday.core.errors import StackError, StuckFaultError, UsageError
from gameday.injection.context import Direct, InjectionContext
from gameday.injection.drivers import Drivers
from gameday.injection.drivers.driver import Dose
from gameday.injection.drivers.service import StrikeError, restart
from gameday.injection.process.launch import Launch, alone, is_being_started
from gameday.injection.process.process import alive, is_stopped
from gameday.spec.changes import ServiceChange, Strike
from gameday.spec.undos import ProcessUndo, ServiceUndo, Undo, from_json
from gameday.stacks.embedded import EmbeddedStack
from gameday.stacks.stack import Running, new_work_dir
from tests.support.stack_parts import BOTH, Ground, is_ended, system_of

drivers = Drivers()

PARTS = ("service", "redis", "postgres", "toxiproxy")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One loop for all: they share a stack."""
    return "asyncio"


class Up:
    """A stack that runs."""

    def __init__(self, stack: EmbeddedStack, running: Running, ground: Ground) -> None:
        self.stack, self.running, self.ground = stack, running, ground

    @property
    def site(self) -> InjectionContext:
        return InjectionContext("r", None, {}, Direct(parts=self.running.parts))

    async def strike(self, name: str, do: Strike, *, forget: bool = False) -> Undo:
        change, site = ServiceChange(name, do, forget=forget), self.site
        undo = await drivers.prepare(change, site)
        await drivers.act(change, undo, site)
        assert site.stopped_on_purpose == (set() if do == "pause" else {name})
        return undo

    def launch(self, name: str) -> Launch:
        found = Launch.read(self.running.parts[name])
        assert found is not None
        return found


@pytest.fixture(scope="module")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    folder = tmp_path_factory.mktemp("stack")
    ground = Ground(folder, new_work_dir())
    stack = EmbeddedStack()
    running = await stack.start(system_of(folder, **BOTH), ground.site)
    try:
        yield Up(stack, running, ground)
    finally:
        assert await stack.stop() == []
        assert ground.left() == []


async def test_each_part_has_a_file_that_only_its_owner_may_read(up: Up) -> None:
    assert set(up.running.parts) == set(PARTS)
    for path in up.running.parts.values():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", PARTS)
async def test_a_restarted_part_is_another_process_and_healthy_at_the_same_place(
    up: Up, name: str
) -> None:
    before = up.launch(name)

    await restart(up.running.parts[name], SystemClock())

    after = up.launch(name)
    assert after.pid != before.pid
    assert await after.is_ready()
    assert (after.token, after.question) == (before.token, before.question)
    announced = [record for part, record in up.ground.announced if part == name][-1]
    assert isinstance(announced, ProcessUndo)
    assert after.pid in alive(announced)
    assert up.stack.ended() == []


async def test_rows_outlive_a_killed_postgres_and_keys_do_not_outlive_a_killed_redis(
    up: Up,
) -> None:
    database = await asyncpg.connect(up.running.direct["postgres"])
    await database.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
    await database.execute("INSERT INTO kept VALUES (1)")
    store = redis.asyncio.Redis.from_url(up.running.direct["redis"])
    await store.set("stock", 5)
    await store.aclose()

    await restart(up.running.parts["postgres"], SystemClock())
    await restart(up.running.parts["redis"], SystemClock(), forget=True)

    assert await is_ended(database)
    with pytest.raises(asyncpg.InterfaceError):
        await database.fetchval("SELECT 1")
    database.terminate()
    database = await asyncpg.connect(up.running.direct["postgres"])
    assert await database.fetchval("SELECT count(*) FROM kept") >= 1
    await database.close()
    assert await store.get("stock") is None
    await store.aclose()


async def test_postgres_ends_politely_and_recovers(up: Up) -> None:
    part = up.running.parts["postgres"]
    await restart(part, SystemClock(), signal.Signals[up.launch("postgres").polite])
    assert "database system is shut down" in up.launch("postgres").log.read_text()


async def test_a_restarted_part_holds_no_file_of_whoever_started_it(up: Up, tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)  # noqa: FBT003 - it has no name
        await restart(up.running.parts["service"], SystemClock())
    held = [path.path for path in psutil.Process(up.launch("service").pid).open_files()]
    assert str(tmp_path / "lock") not in held


async def test_two_at_once_start_it_one_after_the_other(up: Up) -> None:
    part = up.running.parts["redis"]
    await asyncio.gather(*(restart(part, SystemClock()) for _ in range(2)))
    assert await up.launch("redis").is_ready()
    assert up.stack.ended() == []


async def test_a_part_that_does_not_come_up_is_told_with_its_log(up: Up, tmp_path: Path) -> None:
    data = json.loads(up.running.parts["service"].read_text())
    data |= {"argv": ["/nowhere"], "pid": 0, "start_time": "", "token": "another"}
    data["question"]["port"] = 1
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(data))
    with pytest.raises(StuckFaultError, match="service: ended while starting") as caught:
        await restart(broken, SystemClock())
    assert "service.log" in caught.value.help


async def test_nothing_is_started_once_the_stack_is_gone(tmp_path: Path) -> None:
    with pytest.raises(StuckFaultError, match="it is gone"):
        await restart(tmp_path / "gone" / "redis.json", SystemClock())


STRUCK = ("service", "redis", "postgres")


async def told(undo: Undo) -> Dose:
    dose = await drivers.dose(undo)
    assert dose is not None
    return dose


@pytest.mark.parametrize("name", STRUCK)
async def test_a_killed_part_is_away_until_it_is_taken_back(up: Up, name: str) -> None:
    undo = await up.strike(name, "kill")
    assert (await told(undo))[:2] == (True, 1.0)
    assert await drivers.read_back(undo) is False
    assert up.stack.ended() == [name]

    await drivers.undo(undo)
    assert await drivers.read_back(undo) is True
    assert (await told(undo))[0] is False
    again = up.launch(name).pid
    await drivers.undo(undo)
    assert up.launch(name).pid == again
    assert up.stack.ended() == []


@pytest.mark.parametrize("name", STRUCK)
async def test_a_paused_part_stands_still_with_its_children_and_goes_on(up: Up, name: str) -> None:
    before = up.launch(name)
    undo = await up.strike(name, "pause")
    try:
        assert (await told(undo))[:2] == (True, 1.0)
        assert await drivers.read_back(undo) is False
        assert all(is_stopped(pid) for pid in alive(up.launch(name).process()))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(before.is_ready(), 0.3)
        assert up.stack.ended() == []
    finally:
        await drivers.undo(undo)

    assert await drivers.read_back(undo) is True
    assert await before.is_ready()
    assert (await told(undo))[0] is False
    await drivers.undo(undo)
    assert up.launch(name).pid == before.pid


async def test_a_part_that_was_stopped_on_its_way_to_be_killed_is_woken_up(up: Up) -> None:
    before = up.launch("redis")
    undo = await drivers.prepare(ServiceChange("redis", "kill"), up.site)
    for _ in range(30):  # now and then it has not heard the first signal when it is woken up
        os.kill(before.pid, signal.SIGSTOP)
        await drivers.undo(undo)
        assert await drivers.read_back(undo) is True
        assert not is_stopped(before.pid)
    assert up.launch("redis").pid == before.pid


@pytest.mark.parametrize("name", STRUCK)
async def test_a_restart_is_over_at_once_and_shows_another_process(up: Up, name: str) -> None:
    before = up.launch(name).pid
    undo = await up.strike(name, "restart")
    assert (await told(undo))[:2] == (True, 1.0)
    assert await drivers.read_back(undo) is True
    again = up.launch(name).pid
    await drivers.undo(undo)
    assert before != up.launch(name).pid == again


async def test_what_redis_would_remember_is_gone_where_it_is_to_forget(up: Up) -> None:
    (dump,) = [path for path in up.launch("redis").memory if path.name == "dump.rdb"]
    undo = await up.strike("redis", "kill", forget=True)
    dump.write_bytes(b"what it would load")
    await drivers.undo(undo)
    assert not dump.exists()
    assert await drivers.read_back(undo) is True


async def test_a_part_that_is_away_or_not_of_the_stack_cannot_be_struck(up: Up) -> None:
    with pytest.raises(UsageError, match="has no part 'kafka'; it has postgres, redis, service"):
        await drivers.prepare(ServiceChange("kafka", "kill"), up.site)
    with pytest.raises(UsageError, match="gameday did not start it"):
        await drivers.prepare(ServiceChange("redis", "kill"), InjectionContext("r", None, {}))
    undo = await up.strike("redis", "kill")
    with pytest.raises(StackError, match="redis does not run"):
        await drivers.prepare(ServiceChange("redis", "pause"), up.site)
    await drivers.undo(undo)


async def test_another_process_than_the_one_prepared_is_left_alone(up: Up) -> None:
    change = ServiceChange("redis", "kill")
    undo = await drivers.prepare(change, up.site)
    await restart(up.running.parts["redis"], SystemClock())
    with pytest.raises(StrikeError, match="started anew meanwhile"):
        await drivers.act(change, undo, up.site)
    assert await up.launch("redis").is_ready()


async def test_a_number_that_is_somebody_elses_now_is_neither_stopped_nor_continued(
    up: Up,
) -> None:
    undo = await up.strike("redis", "pause")
    try:
        other = from_json({**undo.as_json(), "part": "/gone.json", "start_time": "1@before"})
        await drivers.undo(other)
        assert is_stopped(up.launch("redis").pid)
        assert await drivers.read_back(other) is True
    finally:
        await drivers.undo(undo)


async def test_a_stack_that_ended_with_its_owner_is_not_started_again(
    up: Up, tmp_path: Path
) -> None:
    data = json.loads(up.running.parts["redis"].read_text())
    orphan = tmp_path / "redis.json"
    orphan.write_text(json.dumps({**data, "owner": [1, "1@before"], "pid": 0}))
    undo = from_json(
        {"kind": "service", "what": "start", "do": "kill", "forget": False, "part": str(orphan)}
    )
    await drivers.undo(undo)
    assert json.loads(orphan.read_text())["pid"] == 0
    assert await drivers.read_back(undo) is True


async def test_nothing_is_left_to_undo_where_the_stack_is_gone(tmp_path: Path) -> None:
    gone = str(tmp_path / "redis.json")
    for what in ("start", "continue"):
        data = {"what": what, "part": gone, "name": "redis", "pid": 2**22, "start_time": "1@b"}
        await drivers.undo(from_json({"kind": "service", **data, "forget": False}))
        assert await drivers.read_back(from_json({"kind": "service", **data})) is True


async def test_a_part_that_is_just_started_does_not_count_as_ended(up: Up) -> None:
    undo = await up.strike("redis", "kill")
    part = up.running.parts["redis"]
    assert up.stack.ended() == ["redis"]
    async with alone(part, SystemClock()):
        assert is_being_started(part)
        assert up.stack.ended() == []
    assert not is_being_started(part)
    await drivers.undo(undo)


async def test_a_part_of_a_stack_on_another_machine_is_not_known_to_go_on(up: Up) -> None:
    for do in ("pause", "kill"):
        undo = await drivers.prepare(ServiceChange("redis", do, forget=False), up.site)
        assert isinstance(undo, ServiceUndo)
        gone, why = await drivers.look(replace(undo, seen_from="cache pid:[4711]"))
        assert gone is None
        assert "it was made on cache pid:[4711]" in why
