"""Parts of a real stack ended, stopped and started again: the same port, the same token."""

import asyncio
import json
import signal
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio

from gameday.clock import SystemClock
from gameday.effects.launching import Launch
from gameday.effects.process import alive
from gameday.effects.service import restart
from gameday.errors import StuckFaultError
from gameday.stacks import Running, new_work_dir
from gameday.stacks.embedded import EmbeddedStack
from tests.stack_parts import BOTH, Ground, system_of

PARTS = ("service", "redis", "postgres", "toxiproxy")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One loop for all: they share a stack."""
    return "asyncio"


class Up:
    """A stack that runs."""

    def __init__(self, stack: EmbeddedStack, running: Running, ground: Ground) -> None:
        self.stack, self.running, self.ground = stack, running, ground

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
    assert up.stack.ended() == []


@pytest.mark.parametrize("name", PARTS)
async def test_what_was_announced_still_finds_a_restarted_part(up: Up, name: str) -> None:
    await restart(up.running.parts[name], SystemClock())
    announced = [record.data for part, record in up.ground.announced if part == name][-1]
    assert up.launch(name).pid in alive(announced)


async def test_rows_outlive_a_killed_postgres_and_keys_do_not_outlive_a_killed_redis(
    up: Up,
) -> None:
    database = await asyncpg.connect(up.running.direct["postgres"])
    await database.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
    await database.execute("INSERT INTO kept VALUES (1)")
    store = redis.asyncio.Redis.from_url(up.running.direct["redis"])
    await store.set("stock", 5)

    await restart(up.running.parts["postgres"], SystemClock())
    await restart(up.running.parts["redis"], SystemClock(), forget=True)

    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
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


async def test_two_at_once_start_it_one_after_the_other(up: Up) -> None:
    part = up.running.parts["redis"]
    await asyncio.gather(*(restart(part, SystemClock()) for _ in range(2)))
    assert await up.launch("redis").is_ready()
    assert up.stack.ended() == []


async def test_a_part_that_does_not_come_up_is_told_with_its_log(up: Up, tmp_path: Path) -> None:
    data = json.loads(up.running.parts["service"].read_text())
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps({**data, "argv": ["/nowhere"], "pid": 0, "start_time": ""}))
    with pytest.raises(StuckFaultError, match="service: ended while starting") as caught:
        await restart(broken, SystemClock())
    assert "service.log" in caught.value.help


async def test_nothing_is_started_once_the_stack_is_gone(tmp_path: Path) -> None:
    with pytest.raises(StuckFaultError, match="it is gone"):
        await restart(tmp_path / "gone" / "redis.json", SystemClock())
