"""Whether things are as they were: the way through a proxy, compared with the way past it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gameday.core.clock import SystemClock
from gameday.core.network.allow_list import Allowed
from gameday.injection.toxiproxy_client import Toxiproxy
from gameday.injection.verify.probe import ExpectedProtocol, Probe, Spot, look
from gameday.injection.verify.recovery import compare, difference, direct_address
from gameday.spec.undos import ProxyState, ToxicState
from tests.support.toxiproxies import toxiproxy

CLOCK = SystemClock()
REDIS = ExpectedProtocol("redis")


def probes(took_ms: float, count: int = 20, unanswered: int = 0) -> list[Probe]:
    silent = [Probe("unanswered", 1000.0)] * unanswered
    return [Probe("answered", took_ms)] * (count - unanswered) + silent


def test_a_machine_that_is_slow_both_ways_is_calm() -> None:
    assert difference(probes(80), probes(79), extra_ms=0.5).is_calm


def test_a_proxy_that_is_slow_alone_is_not() -> None:
    assert not difference(probes(80), probes(1), extra_ms=0.5).is_calm
    assert not difference(probes(7), probes(1), extra_ms=0.5).is_calm


def test_the_bound_is_a_fifth_or_5_ms_whichever_is_more() -> None:
    assert difference(probes(6.4), probes(1), extra_ms=0.5).is_calm
    assert difference(probes(121), probes(1), extra_ms=100).is_calm
    assert not difference(probes(122), probes(1), extra_ms=100).is_calm


def test_too_few_answers_are_no_calm() -> None:
    assert not difference(probes(1, unanswered=5), probes(1), extra_ms=0.5).is_calm
    assert not difference(probes(1), probes(1, unanswered=5), extra_ms=0.5).is_calm
    assert not difference([], [], extra_ms=0.5).is_calm


@asynccontextmanager
async def slow_redis(delay_s: list[float]) -> AsyncIterator[int]:
    """Answers a PING after as long as the list's last number says."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(256):
            await asyncio.sleep(delay_s[-1])
            writer.write(b"+PONG\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def becomes_calm(spot: Spot, within_s: float = 20.0) -> bool:
    """Whether it is calm in one of several looks: on a busy machine one look may be 5 ms off."""
    until = asyncio.get_running_loop().time() + within_s
    while not (await compare(spot, CLOCK)).is_calm:
        if asyncio.get_running_loop().time() > until:
            return False
    return True


async def test_a_slow_upstream_is_not_blamed_on_the_proxy_but_a_toxic_is() -> None:
    delay_s = [0.0]
    async with slow_redis(delay_s) as port, toxiproxy() as url:
        server = Toxiproxy(url)
        where = ProxyState(listen="127.0.0.1:0", upstream=f"127.0.0.1:{port}", enabled=True)
        await server.create("cache", where)
        shown = await server.proxy("cache")
        assert shown is not None
        past = await direct_address(shown.upstream, url, Allowed())
        assert past == ("127.0.0.1", port)
        listen = ("127.0.0.1", int(shown.listen.rpartition(":")[2]))
        spot = await look(listen, CLOCK, past, REDIS)
        assert spot.upstream == past
        assert spot.extra_ms is not None
        delay_s.append(0.1)
        assert await becomes_calm(spot)
        toxic = ToxicState(name="t", type="latency", attributes={"latency": 100})
        await server.add_toxic("cache", toxic)
        assert not (await compare(spot, CLOCK)).is_calm
        await server.remove_toxic("cache", "t")
        assert await becomes_calm(spot)


async def test_an_upstream_that_does_not_answer_from_here_leaves_the_way_through() -> None:
    async with slow_redis([0.0]) as port:
        spot = await look(("127.0.0.1", port), CLOCK, ("127.0.0.1", 1), REDIS)
    assert spot.upstream is None
    assert spot.extra_ms is None
    assert spot.before_ms is not None


@pytest.mark.parametrize(
    ("upstream", "url", "allowed", "expected"),
    [
        ("127.0.0.1:6379", "http://127.0.0.1:8474", [], ("127.0.0.1", 6379)),
        ("[::1]:6379", "http://localhost:8474", [], ("::1", 6379)),
        ("redis.invalid:6379", "http://127.0.0.1:8474", [], None),
        ("192.0.2.7:6379", "http://127.0.0.1:8474", [], None),
        ("192.0.2.7:6379", "http://127.0.0.1:8474", ["192.0.2.7"], ("192.0.2.7", 6379)),
        ("127.0.0.1:6379", "http://192.0.2.8:8474", ["192.0.2.8"], ("192.0.2.8", 6379)),
        ("127.0.0.1:6379", "http://192.0.2.8:8474", [], None),
        ("nonsense", "http://127.0.0.1:8474", [], None),
        ("", "http://127.0.0.1:8474", [], None),
    ],
)
async def test_nobody_is_asked_directly_who_was_not_allowed(
    upstream: str, url: str, allowed: list[str], expected: tuple[str, int] | None
) -> None:
    assert await direct_address(upstream, url, Allowed(allowed)) == expected


async def test_a_direct_way_that_stood_still_before_the_fault_denies_no_removal() -> None:
    delay_s = [0.05]
    async with slow_redis([0.0]) as through, slow_redis(delay_s) as direct:
        spot = await look(("127.0.0.1", through), CLOCK, ("127.0.0.1", direct), REDIS)
        assert spot.extra_ms == 0.0
        delay_s.append(0.0)
        assert await becomes_calm(spot)
