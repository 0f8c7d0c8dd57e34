"""Replicas of the service: added and removed behind the balancer, on a real engine."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Final

import httpx
import pytest

from gameday.core.clock import NS, SystemClock
from gameday.core.errors import StackError
from gameday.core.network.http import Ask, ask_once
from gameday.injection import engine
from gameday.injection.drivers.request import RequestError, Sender, undo_record
from gameday.injection.drivers.scale import scale, scaled, served
from gameday.injection.engine import Container
from gameday.injection.process.launch import Launch
from gameday.injection.replicas import addresses, send
from gameday.run.replica_state import Replicas
from gameday.spec.changes import ToxicChange
from gameday.spec.undos import ScaleUndo, from_json
from tests.support.containers import Up, ask, drivers, stack_up, there, with_engine

pytestmark = [pytest.mark.compose, with_engine, pytest.mark.timeout(150)]
CLOCK = SystemClock()
RATE_PER_S: Final = 150
SLOW = ToxicChange(
    proxy="redis",
    type="latency",
    stream="downstream",
    toxicity=1.0,
    attributes={"latency": 300},
)


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
    replicas = [each for each in there(up.project) if each.service == "service"]
    now = {each.id for each in replicas}
    assert first < now and len(now) == 3
    (image,) = {each.image_id for each in replicas}
    launch = Launch.read(three.part)
    assert launch is not None and launch.environment["SERVICE_IMAGE"] == image != ""
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


async def test_requests_in_flight_are_answered_when_their_replica_is_taken_away(up: Up) -> None:
    """At a constant rate, while Redis is slow enough that a replica always has some open."""
    await scale(to(up, 2))
    base = up.running.system.base_url
    async with httpx.AsyncClient(trust_env=False, base_url=base, timeout=20) as client:
        stock = {"code": "DRAINED", "stock": 100_000}
        assert (await client.post("/api/v1/coupons", json=stock)).status_code == 201
        slow = await up.prepare(SLOW)
        await drivers.act(SLOW, slow, up.context)
        enough, found = asyncio.Event(), Found()
        load = asyncio.create_task(_load(client, enough, found))
        try:
            await _until(lambda: found.answers["200"] >= RATE_PER_S)  # both replicas are at work
            await scale(to(up, 1))
            served = found.answers["200"]
            await _until(lambda: found.answers["200"] >= served + RATE_PER_S)
        finally:
            enough.set()
            await load
            await drivers.undo(slow)
        audit = (await client.get("/api/v1/coupons/DRAINED/audit")).json()
        told = _log(up, "balancer")
    assert found.answers == {"200": found.asked}
    assert "is DOWN, reason: Layer7 wrong status, code: 503" in told  # before it was gone
    assert found.issued <= {row["issueId"] for row in audit["rows"]}
    assert len(found.issued) == found.asked


def _log(up: Up, service: str) -> str:
    with engine.of(up.project) as client:
        return str(client.api.logs(up.containers()[service].id), "utf-8")


class Found:
    """What was asked, and what came of it."""

    def __init__(self) -> None:
        self.asked = 0
        self.answers: Counter[str] = Counter()
        self.issued: set[str] = set()


async def _load(client: httpx.AsyncClient, enough: asyncio.Event, found: Found) -> None:
    """Ask for a coupon at each due time, whatever became of those before, until `enough`."""
    began_ns = CLOCK.now_ns()
    async with asyncio.TaskGroup() as group:
        while not enough.is_set():
            found.asked += 1
            group.create_task(_issue(client, found.asked, found))
            due_ns = began_ns + found.asked * NS // RATE_PER_S
            await CLOCK.sleep(max(0.0, (due_ns - CLOCK.now_ns()) / NS))


async def _issue(client: httpx.AsyncClient, user: int, found: Found) -> None:
    issue = {"userId": user, "couponCode": "DRAINED"}
    try:
        answer = await client.post("/api/v1/coupons/issue", json=issue)
    except httpx.HTTPError as error:
        found.answers[repr(error)] += 1
        return
    found.answers[str(answer.status_code)] += 1
    if answer.status_code == 200:
        found.issued.add(answer.json()["issueId"])


async def _until(fine: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not fine():
            await CLOCK.sleep(0.05)


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


LIMITED = "min(issuance_limit_users) == 1"


async def lagging(known: Replicas, *, wanted: bool) -> list[str]:
    """The replicas that do not show the state, once it has had the time to come about."""
    deadline_ns = CLOCK.now_ns() + 10 * NS
    while found := await known.without(LIMITED, CLOCK, wanted=wanted):
        if CLOCK.now_ns() > deadline_ns:
            break
        await CLOCK.sleep(0.1)
    return found


def replicas_and_sender(up: Up) -> tuple[Replicas, Sender]:
    system = up.running.system
    known = Replicas.of(system, up.running.replicas)
    assert known is not None and known.base_url == system.admin_url
    return known, Sender(known.base_url, {}, up.running.environment, tls=system.tls)


def second_of(up: Up) -> Container:
    (other,) = [e for e in there(up.project) if e.service == "service" and e.number == 2]
    return other


async def test_an_action_is_for_every_replica_and_so_is_its_state(up: Up) -> None:
    await scale(to(up, 2))
    known, sender = replicas_and_sender(up)
    both = await known.addresses()
    assert len(set(both.values())) == 2 and known.base_url in both.values()
    assert await lagging(known, wanted=True) == sorted(both)

    await send(sender, up.running.system.actions["limit-users"], both)
    assert await lagging(known, wanted=True) == []

    other = second_of(up)
    ask(up.project, lambda client: client.api.pause(other.id))
    try:  # what is read of all that answer would be true of the other one alone
        assert await known.without(LIMITED, CLOCK, wanted=True) == [other.name]
    finally:
        ask(up.project, lambda client: client.api.unpause(other.id))
    assert await lagging(known, wanted=True) == []


async def test_a_replica_that_has_not_taken_an_action_fails_it_by_its_name(up: Up) -> None:
    await scale(to(up, 2))
    known, sender = replicas_and_sender(up)
    system, environment, other = up.running.system, up.running.environment, second_of(up)
    ask(up.project, lambda client: client.api.kill(other.id))
    with pytest.raises(RequestError, match="1 of 2 replicas have not taken it") as caught:
        await send(sender, system.actions["limit-users"], await known.addresses())
    assert f"{other.name}: it does not run" in caught.value.message
    undo = undo_record(
        "unlimit-users",
        system.actions["unlimit-users"],
        known.base_url,
        {},
        project=up.project,
        service="service",
    )
    with pytest.raises(RequestError, match=f"{other.name}: it does not run"):
        await drivers.undo(undo, environment)
    assert await lagging(known, wanted=False) == [other.name]

    ask(up.project, lambda client: client.api.start(other.id))
    await scale(to(up, 2))  # waits until it is healthy
    await drivers.undo(undo, environment)
    assert await lagging(known, wanted=False) == []
    assert (await drivers.look(undo, environment)).gone is None, "only a probe can tell"
    await drivers.undo(to(up, 1))


async def test_an_action_through_the_balancer_is_sent_once(up: Up) -> None:
    assert await addresses(up.project, "service", up.running.system.base_url) == {}


async def test_where_the_stack_is_gone_nothing_is_scaled(up: Up) -> None:
    two = to(up, 2)
    gone = replace(two, project=replace(two.project, token="0" * 32))
    with pytest.raises(StackError, match="the stack that it was a part of is gone"):
        await scale(gone)
    await drivers.undo(gone)
    assert (await drivers.look(gone)).gone is True


@pytest.mark.parametrize(
    "told", ["", "a,b\n1\n", "# svname\nweb\n", "svname,status\n" + "x" * 200_000]
)
async def test_an_answer_that_is_no_statistics_is_of_no_replica(told: str) -> None:
    """Somebody else may have the port by then."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(told)}\r\n\r\n{told}".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await served(f"http://127.0.0.1:{port}") == 0
