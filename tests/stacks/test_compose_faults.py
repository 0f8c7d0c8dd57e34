"""Limits of containers and their way to others: struck, seen so, and put back, on a real engine."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import redis.asyncio

from gameday.core.errors import UsageError
from gameday.injection import engine
from gameday.injection.drivers.service import StrikeError
from gameday.spec.changes import LimitChange, PartitionChange
from gameday.spec.undos import LimitUndo, PartitionUndo, ProjectUndo
from tests.support.containers import Up, ask, drivers, stack_up, there, with_engine
from tests.support.stack_parts import eventually

pytestmark = [pytest.mark.compose, with_engine]
MIB = 2**20


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One loop for all: they share a stack."""
    return "asyncio"


@pytest.fixture(scope="module")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    async with stack_up(tmp_path_factory.mktemp("stack")) as up:
        yield up


def inspected(project: ProjectUndo, id_: str) -> dict[str, Any]:
    with engine.of(project) as client:
        found: dict[str, Any] = client.api.inspect_container(id_)
        return found


async def busy(url: str) -> None:
    """Keep a Redis busy for longer than a tenth of a CPU lasts."""
    store = redis.asyncio.Redis.from_url(url, socket_timeout=60)
    await store.eval("local n = 0; for i = 1, 3e7 do n = n + i end; return 1", 0)
    await store.aclose()


async def test_less_cpu_is_felt_and_given_back(up: Up) -> None:
    change = LimitChange("redis", cpus=0.1)
    undo = await up.prepare(change)
    assert isinstance(undo, LimitUndo)
    (id_,) = undo.before
    assert (await drivers.look(undo)).gone is True

    await drivers.act(change, undo, up.context)
    await busy(up.running.direct["redis"])

    assert inspected(up.project, id_)["HostConfig"]["CpuQuota"] == 10_000
    dose = await drivers.dose(undo)
    assert dose is not None and dose[:3] == (True, 0.1, "CPUs") and "throttled" in str(dose[3]), (
        dose
    )
    assert (await drivers.look(undo)).gone is False

    for _ in range(2):  # doing it twice is harmless
        await drivers.undo(undo)
        assert (await drivers.look(undo)).gone is True
    assert inspected(up.project, id_)["HostConfig"]["CpuQuota"] <= 0
    again = await up.prepare(change)  # and it can be struck once more
    await drivers.act(change, again, up.context)
    await drivers.undo(again)


async def test_less_memory_is_there_and_given_back(up: Up) -> None:
    change = LimitChange("redis", memory_bytes=100 * MIB)
    undo = await up.prepare(change)
    assert isinstance(undo, LimitUndo)
    ((id_, before),) = undo.before.items()
    assert before.memory == 384 * MIB

    await drivers.act(change, undo, up.context)

    shown = inspected(up.project, id_)["HostConfig"]
    assert (shown["Memory"], shown["MemorySwap"]) == (100 * MIB, 100 * MIB)
    dose = await drivers.dose(undo)
    assert dose is not None and dose[0] is True and "of its 100 MB" in str(dose[3]), dose
    assert (await drivers.look(undo)).gone is False

    await drivers.undo(undo)
    assert (await drivers.look(undo)).gone is True
    shown = inspected(up.project, id_)["HostConfig"]
    assert (shown["Memory"], shown["MemorySwap"]) == (before.memory, before.memory_swap)


async def test_a_memory_limit_on_an_engine_that_limits_no_swap_is_known_and_taken_back(
    up: Up,
) -> None:
    """Such an engine sets no limit of swap, whatever it is asked for."""
    undo = await up.prepare(LimitChange("redis", memory_bytes=100 * MIB))
    assert isinstance(undo, LimitUndo)
    ((id_, before),) = undo.before.items()
    await drivers.act(LimitChange("redis", memory_bytes=100 * MIB), undo, up.context)
    with engine.of(up.project) as client:
        client.api.update_container(id_, mem_limit=100 * MIB, memswap_limit=-1)
    assert inspected(up.project, id_)["HostConfig"]["MemorySwap"] == -1

    assert (await drivers.look(undo)).gone is False
    dose = await drivers.dose(undo)
    assert dose is not None and dose[0] is True, dose
    await drivers.undo(undo)
    assert (await drivers.look(undo)).gone is True
    assert inspected(up.project, id_)["HostConfig"]["Memory"] == before.memory


@pytest.mark.timeout(120)
async def test_what_the_kernel_ended_for_want_of_memory_runs_again(up: Up) -> None:
    change = LimitChange("redis", memory_bytes=32 * MIB)
    undo = await up.prepare(change)
    assert isinstance(undo, LimitUndo)
    await drivers.act(change, undo, up.context)
    store = redis.asyncio.Redis.from_url(up.running.direct["redis"])
    with pytest.raises(redis.exceptions.ConnectionError):
        for i in range(64):
            await store.set(f"large-{i}", b"x" * MIB)
    await store.aclose()
    assert eventually(lambda: up.containers()["redis"].state == "exited")

    dose = await drivers.dose(undo)
    assert dose is not None and dose[0] is True and "want of memory" in str(dose[3]), dose
    await drivers.undo(undo)
    assert (await drivers.look(undo)).gone is True
    assert up.containers()["redis"].is_well


async def test_a_limit_that_somebody_else_has_set_since_is_left_alone(up: Up) -> None:
    change = LimitChange("redis", cpus=0.2)
    undo = await up.prepare(change)
    assert isinstance(undo, LimitUndo)
    (id_,) = undo.before
    await drivers.act(change, undo, up.context)
    ask(up.project, lambda client: client.api.update_container(id_, cpu_quota=70_000))
    dose = await drivers.dose(undo)
    assert dose is not None and dose[0] is False, dose
    await drivers.undo(undo)
    assert (await drivers.look(undo)).gone is True
    assert inspected(up.project, id_)["HostConfig"]["CpuQuota"] == 70_000
    with pytest.raises(UsageError, match=r"has 0.7 CPUs, and 0.9 is not less"):
        await up.prepare(LimitChange("redis", cpus=0.9))
    ask(up.project, lambda client: client.api.update_container(id_, cpu_quota=-1))


async def test_a_limit_that_is_none_is_refused(up: Up) -> None:
    with pytest.raises(UsageError, match="is not less"):
        await up.prepare(LimitChange("redis", memory_bytes=4096 * MIB))
    with pytest.raises(UsageError, match="no container of 'kafka'"):
        await up.prepare(LimitChange("kafka", cpus=0.1))


async def test_one_that_left_is_not_found_and_comes_back_with_its_names(up: Up) -> None:
    change = PartitionChange("redis", "service")
    undo = await up.prepare(change)
    assert isinstance(undo, PartitionUndo)
    (endpoint,) = undo.endpoints
    assert "redis" in endpoint.aliases
    assert (await drivers.look(undo)).gone is True
    before = inspected(up.project, endpoint.container)["NetworkSettings"]

    await drivers.act(change, undo, up.context)

    dose = await drivers.dose(undo)
    assert dose is not None and dose[:3] == (True, 1.0, "share"), dose
    assert "does not resolve 'redis'" in str(dose[3])
    assert (await drivers.look(undo)).gone is False

    for _ in range(2):
        await drivers.undo(undo)
        assert (await drivers.look(undo)).gone is True
    after = inspected(up.project, endpoint.container)["NetworkSettings"]
    assert after["Networks"].keys() == before["Networks"].keys()
    (was,), (now,) = before["Networks"].values(), after["Networks"].values()
    assert set(now["Aliases"]) == set(was["Aliases"])
    assert after["Ports"] == before["Ports"]
    for url in (up.running.direct["redis"], up.running.proxied["redis"]):
        store = redis.asyncio.Redis.from_url(url)
        assert await store.ping()
        await store.aclose()


async def test_who_is_alone_cannot_be_cut_off(up: Up) -> None:
    with pytest.raises(UsageError, match="cannot be cut off from itself"):
        await up.prepare(PartitionChange("redis", "redis"))
    with pytest.raises(UsageError, match="no container of 'kafka'"):
        await up.prepare(PartitionChange("redis", "kafka"))


async def test_a_container_that_is_gone_cannot_leave_and_is_not_waited_for(up: Up) -> None:
    change = PartitionChange("redis", "service")
    undo = await up.prepare(change)
    assert isinstance(undo, PartitionUndo)
    gone = replace(undo, endpoints=(replace(undo.endpoints[0], container="0" * 64),))
    with pytest.raises(StrikeError):
        await drivers.act(change, gone, up.context)
    await drivers.undo(gone)
    assert (await drivers.look(gone)).gone is True
    assert len(there(up.project)) == 5
