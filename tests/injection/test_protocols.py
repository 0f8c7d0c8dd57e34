"""Probes of services that are neither Redis nor PostgreSQL: asked in their own words, or not."""

import asyncio
from dataclasses import replace

import pytest

from gameday.core.clock import SystemClock
from gameday.injection.verify.probe import ExpectedProtocol, Protocol, Spot, ask, knock, look
from gameday.injection.verify.probe_verdict import show
from gameday.injection.verify.protocols import heard, is_mysql
from gameday.injection.verify.recovery import compare
from gameday.spec.changes import ProxyDown, ProxyFlap
from gameday.spec.proxies import Protocol as Known
from gameday.spec.proxies import guess
from tests.matrices.broken_parts import Toxi, start_toxi
from tests.support.protocol_servers import mysql_greeting, small_server
from tests.support.toxics import toxic

CLOCK = SystemClock()
LATE = toxic("p", "latency", latency=300, jitter=0)
LATE_REQUESTS = toxic("p", "latency", stream="upstream", latency=300, jitter=0)
ASKED: tuple[Known, ...] = (*("mysql", "smtp", "http", "kafka", "amqp", "mongodb", "memcached"),)
pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("protocol", ASKED)
async def test_a_service_is_known_by_its_answer_to_its_own_question(protocol: Known) -> None:
    async with small_server(protocol) as small:
        spot = await look(
            ("127.0.0.1", small.port), CLOCK, None, ExpectedProtocol(protocol, declared=True)
        )
    assert spot.protocol == protocol
    assert spot.before_ms is not None


@pytest.mark.parametrize("protocol", ASKED)
@pytest.mark.parametrize("speaks", ["silent", "memcached", "greeting", "http", "mysql"])
async def test_a_service_that_speaks_otherwise_is_not_taken_for_it(
    protocol: Known, speaks: str
) -> None:
    if protocol == speaks:
        pytest.skip("that is the one")
    async with small_server(speaks) as small:
        spot = await look(
            ("127.0.0.1", small.port), CLOCK, None, ExpectedProtocol(protocol, declared=True)
        )
    assert spot.protocol == "unknown"


@pytest.mark.parametrize(
    ("speaks", "expected"),
    [("mysql", "mysql"), ("smtp", "smtp"), ("greeting", "greeting")],
)
async def test_a_service_that_speaks_first_is_known_without_a_hint(
    speaks: str, expected: Protocol
) -> None:
    async with small_server(speaks) as small:
        spot = await look(("127.0.0.1", small.port), CLOCK)
    assert spot.protocol == expected


async def test_nothing_is_sent_to_a_service_that_nobody_has_named() -> None:
    async with small_server("silent") as small:
        spot = await look(("127.0.0.1", small.port), CLOCK)
        assert spot == Spot(("127.0.0.1", small.port), "unknown", None)
        await show(ProxyDown("p"), spot, CLOCK)
        await show(LATE, spot, CLOCK)
        assert small.connections > 10
        assert bytes(small.heard) == b""
        declared = ExpectedProtocol("tcp", declared=True)
        assert (await look(("127.0.0.1", small.port), CLOCK, None, declared)).protocol == "tcp"
        assert bytes(small.heard) == b""


async def test_a_service_that_is_only_listened_to_is_told_nothing() -> None:
    async with small_server("greeting") as small:
        spot = await look(("127.0.0.1", small.port), CLOCK, ("127.0.0.1", small.port))
        assert spot.protocol == "greeting"
        assert (await show(LATE, spot, CLOCK)).ok is False
        assert bytes(small.heard) == b""


@pytest.mark.parametrize("speaks", ["mysql", "mysql that switches"])
async def test_no_handshake_with_a_mysql_is_left_in_the_middle(speaks: str) -> None:
    async with small_server(speaks) as small:
        spot = await look(("127.0.0.1", small.port), CLOCK, ("127.0.0.1", small.port))
        for _ in range(20):
            await ask(spot.address, "mysql", CLOCK)
        async with asyncio.timeout(10):
            while small.unfinished:
                await CLOCK.sleep(0.01)
        assert spot.protocol == "mysql"
        assert small.connections > 50


def test_a_mysql_greeting_is_told_from_other_words() -> None:
    assert is_mysql(mysql_greeting())
    assert heard(mysql_greeting()) == "mysql"
    blocked = b"\x20\0\0\0\xff\x69\x04Host 'x' is blocked because of"
    assert is_mysql(blocked)
    for other in (b"", b"220 mail ESMTP\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"\0" * 40, b"\xff" * 40):
        assert not is_mysql(other)


def test_a_name_a_port_or_a_store_tells_the_protocol_and_nothing_else_does() -> None:
    stores: dict[tuple[str, int], Known] = {("127.0.0.1", 7000): "redis"}
    assert guess(["cache"], ("127.0.0.1", 7000), stores) == "redis"
    assert guess(["billing", "billing", "erp"], ("erp", 7000), stores) is None
    assert guess(["cache"], ("127.0.0.1", 7001), stores) is None
    assert guess(["shop-redis", "redis2"], ("x", 9999), {}) == "redis"
    assert guess(["db", "db", "mariadb"], ("mariadb", 33060), {}) == "mysql"
    for other in ("redis-exporter", "mongo-express", "kafka-connect", "rabbit-stomp", "predis"):
        assert guess([other], ("x", 9121), {}) is None
    for port, protocol in ((3306, "mysql"), (13306, "mysql"), (26379, "redis"), (8080, "http")):
        assert guess(["db"], ("db.example", port), {}) == protocol
    for port in (65432, 25672, 10080, 46379):
        assert guess(["db"], ("db.example", port), {}) is None
    assert guess(["redis-postgres"], None, {}) is None


async def through(toxi: Toxi, protocol: Known, port: int) -> Spot:
    """A spot behind a proxy of its own."""
    listen = await toxi.proxy("p", port)
    direct = ("127.0.0.1", port)
    return await look(
        ("127.0.0.1", listen), CLOCK, direct, ExpectedProtocol(protocol, declared=True)
    )


@pytest.mark.parametrize("protocol", [*ASKED, "greeting"])
async def test_faults_are_shown_on_every_protocol_that_probes_know(protocol: Known) -> None:
    toxi = await start_toxi()
    changes = [LATE, toxic("p", "timeout", timeout=0), toxic("p", "reset_peer", timeout=0)]
    if protocol != "greeting":
        changes.append(LATE_REQUESTS)
    try:
        async with small_server(protocol) as small:
            spot = await through(toxi, protocol, small.port)
            for change in changes:
                told = {k: v for k, v in change.as_json().items() if k not in ("kind", "proxy")}
                assert not (await show(change, spot, CLOCK)).ok
                await toxi.ask("POST", "/proxies/p/toxics", {"name": "gameday-t", **told})
                async with asyncio.timeout(30):
                    while not (seen := await show(change, spot, CLOCK)).ok:
                        pass  # the machine is busy
                assert seen.shown
                await toxi.ask("DELETE", "/proxies/p/toxics/gameday-t")
            async with asyncio.timeout(30):
                while not (await compare(spot, CLOCK)).is_calm:
                    pass
    finally:
        await toxi.end()


@pytest.mark.parametrize("protocol", ["silent", "kafka", "greeting"])
async def test_a_proxy_that_is_down_is_seen_whatever_is_behind_it(protocol: str) -> None:
    toxi = await start_toxi()
    try:
        async with small_server(protocol) as small:
            listen = ("127.0.0.1", await toxi.proxy("p", small.port))
            spot = await look(listen, CLOCK)
            assert (await show(ProxyDown("p"), spot, CLOCK)).ok is False
            await toxi.ask("POST", "/proxies/p", {"enabled": False})
            seen = await show(ProxyDown("p"), spot, CLOCK)
            assert (seen.ok, seen.shown) == (True, True)
            assert (await show(ProxyFlap("p", 200, 200, 0), spot, CLOCK)).ok is None
            await toxi.ask("POST", "/proxies/p", {"enabled": True})
            assert (await knock(listen, CLOCK)).answer == "accepted"
    finally:
        await toxi.end()


async def test_a_proxy_that_leads_nowhere_hangs_up_and_is_not_called_open() -> None:
    toxi = await start_toxi()
    try:
        async with small_server("silent") as small:
            gone = small.port
        listen = ("127.0.0.1", await toxi.proxy("p", gone))
        assert (await knock(listen, CLOCK)).answer in ("closed", "reset")
    finally:
        await toxi.end()


async def test_what_only_speaks_first_shows_nothing_of_requests() -> None:
    spot = Spot(("127.0.0.1", 1), "greeting", 1.0)
    seen = await show(LATE_REQUESTS, spot, CLOCK)
    assert (seen.ok, seen.shown) == (True, False)
    for change in (toxic("p", "slow_close", delay=500), toxic("p", "bandwidth", rate=5)):
        seen = await show(change, replace(spot, protocol="kafka"), CLOCK)
        assert (seen.ok, seen.shown) == (True, False)
