"""Replicas of the service: added and removed behind the balancer, on a real engine."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gameday.core.errors import StackError
from gameday.core.network.http import Ask, ask_once
from gameday.injection.drivers.scale import scale, scaled
from gameday.spec.undos import ScaleUndo, from_json
from tests.support.containers import Up, ask, drivers, stack_up, there, with_engine

pytestmark = [pytest.mark.compose, with_engine, pytest.mark.timeout(150)]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One loop for all: they share a stack."""
    return "asyncio"


@pytest.fixture(scope="module")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    async with stack_up(tmp_path_factory.mktemp("stack")) as up:
        yield up


def to(up: Up, replicas: int) -> ScaleUndo:
    """The record of an action, as the journal keeps it."""
    record = scaled(up.running.replicas, "scale", replicas)
    assert record is not None
    assert from_json(json.loads(json.dumps(record.as_json()))) == record
    return record


async def until_told(up: Up, count: int) -> dict[str, str]:
    async with asyncio.timeout(20):
        while len(up.stack.replicas()) != count:
            await asyncio.sleep(0.05)
    return dict(up.stack.replicas())


async def test_replicas_are_added_and_removed_and_each_is_scraped_by_itself(up: Up) -> None:
    one, three = to(up, 1), to(up, 3)
    assert (await drivers.look(one)).gone is True
    assert (await drivers.look(three)).gone is False
    first = {each.id for each in there(up.project) if each.service == "service"}
    addresses = await until_told(up, 1)
    assert list(addresses.values()) == up.running.system.metrics

    await scale(three)

    assert (await drivers.look(three)).gone is True
    now = {each.id for each in there(up.project) if each.service == "service"}
    assert first < now and len(now) == 3
    addresses = await until_told(up, 3)
    assert addresses.keys() == {"service-0", "service-1", "service-2"}
    for url in addresses.values():
        answer = await ask_once(Ask("GET", url), 5.0, verify=True)
        assert "issuance_in_flight" in answer.text

    for _ in range(2):  # doing it twice is harmless
        await drivers.undo(one)
        assert (await drivers.look(one)).gone is True
    assert {each.id for each in there(up.project) if each.service == "service"} == first
    assert (await until_told(up, 1)).keys() == {"service-0"}


async def test_the_first_replica_keeps_its_port_when_it_is_started_again(
    up: Up,
) -> None:
    await scale(to(up, 2))
    before = await until_told(up, 2)
    ours = [each.id for each in there(up.project) if each.service == "service"]
    ask(up.project, lambda client: [client.api.restart(id_) for id_ in ours])
    await drivers.undo(to(up, 1))
    after = await until_told(up, 1)
    assert after["service-0"] == before["service-0"] == up.running.system.metrics[0]


async def test_a_replica_that_does_not_serve_is_none(up: Up) -> None:
    two = to(up, 2)
    await scale(two)
    (other,) = [e.id for e in there(up.project) if e.service == "service" and e.number == 2]
    ask(up.project, lambda client: client.api.pause(other))
    try:
        state = await drivers.look(two)
        assert (state.gone, state.why[:22]) == (False, "1 of 2 replicas are he")
    finally:
        ask(up.project, lambda client: client.api.unpause(other))
    await drivers.undo(to(up, 1))


async def test_where_the_stack_is_gone_nothing_is_scaled(up: Up) -> None:
    two = to(up, 2)
    gone = replace(two, project=replace(two.project, token="0" * 32))
    with pytest.raises(StackError, match="the stack that it was a part of is gone"):
        await scale(gone)
    await drivers.undo(gone)
    assert (await drivers.look(gone)).gone is True
