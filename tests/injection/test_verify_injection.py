"""Witness P against real proxies: each toxic is seen through one, and nothing is taken for it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from gameday.core.clock import SystemClock
from gameday.evidence.events import Observation
from gameday.injection.context import InjectionContext
from gameday.injection.drivers import Drivers
from gameday.injection.verify.probe import ExpectedProtocol, Spot, look
from gameday.injection.verify.probe_verdict import show
from gameday.injection.verify.readback import IN_PLACE, in_place, proxy_of
from gameday.spec.changes import NetworkChange, ProxyDown, ProxyFlap, ToxicChange
from gameday.spec.proxies import Protocol
from gameday.spec.undos import ToxicUndo
from tests.matrices.broken_parts import REAL, Toxi, real_redis, start_toxi
from tests.support.toxics import toxic

CLOCK = SystemClock()
drivers = Drivers()
SHOWN = [
    toxic("p", "latency", latency=300, jitter=10),
    toxic("p", "latency", stream="upstream", latency=300, jitter=0),
    toxic("p", "bandwidth", rate=5),
    toxic("p", "bandwidth", stream="upstream", rate=20),
    toxic("p", "bandwidth", rate=0),
    toxic("p", "slicer", average_size=20, size_variation=5, delay=10_000),
    toxic("p", "slicer", stream="upstream", average_size=20, size_variation=5, delay=10_000),
    toxic("p", "limit_data", bytes=100),
    toxic("p", "limit_data", bytes=0),
    toxic("p", "limit_data", stream="upstream", bytes=100),
    toxic("p", "slow_close", delay=200),
    toxic("p", "slow_close", stream="upstream", delay=200),
    toxic("p", "timeout", timeout=100),
    toxic("p", "timeout", timeout=0),
    toxic("p", "reset_peer", timeout=0),
    ProxyDown("p"),
]
NOT_SHOWN = [
    toxic("p", "noop"),
    toxic("p", "bandwidth", rate=10_000_000),
    toxic("p", "slicer", average_size=1000, size_variation=0, delay=1),
    toxic("p", "limit_data", bytes=10_000_000),
    toxic("p", "slow_close", delay=5),
    toxic("p", "latency", toxicity=0.5, latency=100),
]
pytestmark = pytest.mark.timeout(120)


@dataclass(frozen=True)
class Way:
    """A Toxiproxy with a proxy `p`, and what is asked through it."""

    toxi: Toxi
    port: int
    spot: Spot
    undo: ToxicUndo

    async def put(self, change: NetworkChange, proxy: str = "p") -> None:
        path = f"/proxies/{proxy}"
        if not isinstance(change, ToxicChange):
            await self.toxi.ask("POST", path, {"enabled": False})
            return
        told = {k: v for k, v in change.as_json().items() if k not in ("kind", "proxy")}
        await self.toxi.ask("POST", f"{path}/toxics", {"name": "gameday-t", **told})

    async def clear(self) -> None:
        await self.toxi.ask("DELETE", "/proxies/p/toxics/gameday-t")

    async def seen(self, change: NetworkChange) -> Observation:
        """What P says through a proxy of its own; asked again, because the machine is busy."""
        name = f"p{id(change)}"
        listen = await self.toxi.proxy(name, self.port)
        await self.put(change, name)
        spot = replace(self.spot, address=("127.0.0.1", listen))
        said = await show(change, spot, CLOCK)
        for _ in range(6):
            if said.ok:
                break
            said = await show(change, spot, CLOCK)
        return said


@asynccontextmanager
async def way_to(
    port: int, spoken: Protocol = "redis", *, real: bool = False
) -> AsyncIterator[Way]:
    """A Toxiproxy with one proxy to a port."""
    toxi = await start_toxi(real=real)
    try:
        listen = await toxi.proxy("p", port)
        direct = ("127.0.0.1", port)
        spot = await look(("127.0.0.1", listen), CLOCK, direct, ExpectedProtocol(spoken))
        undo = ToxicUndo(url=toxi.url, proxy="p", part=None, name="gameday-t")
        yield Way(toxi, port, spot, undo)
    finally:
        await toxi.end()


async def all_seen(way: Way, changes: Sequence[NetworkChange]) -> dict[str, Observation]:
    """What P says of each change while it is in; a few at a time."""
    gate = asyncio.Semaphore(6)

    async def one(change: NetworkChange) -> Observation:
        async with gate:
            return await way.seen(change)

    said = await asyncio.gather(*map(one, changes))
    return {_name(change): seen for change, seen in zip(changes, said, strict=True)}


@asynccontextmanager
async def one_byte() -> AsyncIterator[int]:
    """A server that says one byte to whoever asks, as PostgreSQL does; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(256):
                writer.write(b"N")
        except OSError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def _name(change: NetworkChange) -> str:
    return " ".join(map(str, change.as_json().values()))


@pytest.mark.parametrize(
    ("real", "password"), [(False, "secret"), (True, "")], ids=["ours", "the real one"]
)
async def test_every_toxic_is_seen_through_a_proxy_before_redis(real: bool, password: str) -> None:
    if real and not REAL.exists():
        pytest.skip("there is no real Toxiproxy (GAMEDAY_TOXIPROXY)")
    async with real_redis(password) as redis, way_to(redis.port, real=real) as way:
        told = await all_seen(way, SHOWN)
    assert {name: p.why for name, p in told.items() if not (p.ok and p.shown)} == {}


async def test_what_no_probe_shows_is_said_to_be_only_read_back() -> None:
    async with real_redis() as redis, way_to(redis.port) as way:
        told = await all_seen(way, NOT_SHOWN)
    assert {name: p.why for name, p in told.items() if not p.ok or p.shown} == {}


async def test_without_a_toxic_no_probe_says_yes() -> None:
    async with real_redis() as redis, way_to(redis.port) as way:
        said = {_name(change): await show(change, way.spot, CLOCK) for change in SHOWN}
    assert {name: seen.why for name, seen in said.items() if seen.ok} == {}


async def test_another_dose_is_not_taken_for_the_one_that_was_asked() -> None:
    pairs = [
        (toxic("p", "latency", latency=200), toxic("p", "latency", latency=50)),
        (toxic("p", "bandwidth", rate=4), toxic("p", "bandwidth", rate=20)),
        (toxic("p", "limit_data", bytes=100), toxic("p", "limit_data", bytes=140)),
        (toxic("p", "slow_close", delay=400), toxic("p", "slow_close", delay=100)),
        (toxic("p", "timeout", timeout=0), toxic("p", "timeout", timeout=100)),
        (toxic("p", "reset_peer", timeout=0), toxic("p", "timeout", timeout=10)),
    ]
    async with real_redis() as redis, way_to(redis.port) as way:
        for asked, there in pairs:
            await way.put(there)
            seen = await show(asked, way.spot, CLOCK)
            assert not seen.ok, f"{_name(asked)}: {seen.why}"
            await way.clear()


async def test_a_flap_is_seen_while_it_goes_on_and_not_while_the_proxy_stays_down_or_up() -> None:
    change = ProxyFlap("p", 300, 300, 20)
    async with one_byte() as port, way_to(port, "postgres") as way:
        site = InjectionContext("r1", way.toxi.url, {"p": "p"})
        assert (await show(change, way.spot, CLOCK)).ok is None
        undo = await drivers.prepare(change, site)
        await drivers.act(change, undo, site)
        async with asyncio.timeout(60):
            while not (seen := await show(change, way.spot, CLOCK)).ok:
                pass  # the machine is busy
        assert (seen.shown, seen.unit, seen.asked) == (True, "share", 0.5)
        await drivers.undo(undo)
        await way.put(ProxyDown("p"))
        assert (await show(change, way.spot, CLOCK)).ok is None


async def test_postgres_shows_what_one_byte_can_show() -> None:
    async with one_byte() as port, way_to(port, "postgres") as way:
        assert way.spot.protocol == "postgres"
        told = await all_seen(way, SHOWN)
    short = {"latency", "timeout", "reset_peer", "slow_close"}
    for change in SHOWN:
        seen = told[_name(change)]
        assert seen.ok, seen.why
        kind = change.type if isinstance(change, ToxicChange) else "latency"
        assert seen.shown or kind not in short, seen.why


async def test_a_service_that_nobody_can_ask_is_only_read_back() -> None:
    spot = Spot(("127.0.0.1", 1), "unknown", None)
    seen = await show(toxic("p", "latency", latency=100), spot, CLOCK)
    assert (seen.ok, seen.shown) == (True, False)


async def test_what_somebody_alters_does_not_read_back_as_asked() -> None:
    change = toxic("p", "latency", latency=100, jitter=0)
    toxic_path, path = "/proxies/{}/toxics/gameday-t", "/proxies/{}"
    alterations = [
        ("POST", toxic_path, {"toxicity": 0}, "toxicity reads back as 0"),
        ("POST", toxic_path, {"attributes": {"latency": 1}}, "latency reads back as 1"),
        ("DELETE", toxic_path, None, "not there"),
        ("DELETE", path, None, "no proxy"),
        ("POST", path, {"enabled": False}, "disabled"),
        ("POST", path, {"upstream": "127.0.0.1:1"}, "upstream is 127.0.0.1:1"),
        ("POST", path, {"listen": "127.0.0.1:0"}, "listen is"),
    ]
    async with one_byte() as port, way_to(port, "postgres") as way:
        for number, (method, where, body, why) in enumerate(alterations):
            name = f"p{number}"
            undo = replace(way.undo, proxy=name)
            await way.toxi.proxy(name, port)
            await way.put(change, name)
            before = await proxy_of(undo)
            assert await in_place(drivers, change, undo, before) == IN_PLACE
            await way.toxi.ask(method, where.format(name), body)
            there, said = await in_place(drivers, change, undo, before)
            assert there is False
            assert why in str(said)


async def test_another_stream_or_type_does_not_read_back_as_asked() -> None:
    asked = toxic("p", "latency", latency=100)
    async with one_byte() as port, way_to(port, "postgres") as way:
        for there in (toxic("p", "latency", stream="upstream", latency=100), toxic("p", "noop")):
            await way.put(there)
            assert (await in_place(drivers, asked, way.undo))[0] is False
            await way.clear()


async def test_a_fraction_of_toxicity_survives_the_real_servers_short_numbers() -> None:
    if not REAL.exists():
        pytest.skip("there is no real Toxiproxy (GAMEDAY_TOXIPROXY)")
    asked = toxic("p", "latency", toxicity=0.3, latency=100)
    async with one_byte() as port, way_to(port, "postgres", real=True) as way:
        await way.put(asked)
        assert await in_place(drivers, asked, way.undo) == IN_PLACE


async def test_a_toxiproxy_that_is_gone_has_no_toxic_and_one_that_refuses_cannot_tell() -> None:
    change = toxic("p", "latency", latency=100)
    async with one_byte() as port, way_to(port, "postgres") as way:
        undo = way.undo
    assert (await in_place(drivers, change, undo))[0] is False
    async with one_byte() as port:
        other = replace(undo, url=f"http://127.0.0.1:{port}")
        assert (await in_place(drivers, change, other))[0] is None
