"""Effects against the embedded Toxiproxy: act, read back, undo, twice, and by another process."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gameday.core.clock import SystemClock
from gameday.core.errors import StuckFaultError, UsageError
from gameday.injection.context import Direct, InjectionContext
from gameday.injection.drivers import Drivers
from gameday.injection.drivers.proxy import LATE_S, flap, flap_ms
from gameday.injection.drivers.request import Sender, secret
from gameday.injection.toxiproxy_client import TOKEN_PREFIX, Toxiproxy, ToxiproxyError
from gameday.injection.undo_policy import UndoPolicy
from gameday.injection.verify.readback import IN_PLACE, in_place
from gameday.spec.changes import Change, ProxyDown, ProxyFlap
from gameday.spec.request import FromEnv
from gameday.spec.undos import NetworkUndo, ProxyState, ProxyUndo, ToxicState, Undo, from_json
from tests.support.toxics import toxic
from tests.support.toxiproxies import redis_like, toxic_names, toxiproxy

drivers = Drivers()


async def with_proxy(url: str, upstream: int, name: str = "cache") -> Toxiproxy:
    server = Toxiproxy(url)
    body = {"name": name, "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{upstream}"}
    assert (await server.call("POST", "/proxies", body))[0] == 201
    return server


async def test_a_toxic_is_there_while_it_acts_and_gone_when_undone() -> None:
    async with redis_like() as upstream, toxiproxy() as url:
        server = await with_proxy(url, upstream)
        site = InjectionContext("r1", url, {"redis": "cache"})
        change = toxic("redis", "latency", latency=20, jitter=0)
        undo = await drivers.prepare(change, site)
        assert await toxic_names(server, "cache") == []
        await drivers.act(change, undo, site)
        assert await toxic_names(server, "cache") == ["gameday-r1-1"]
        assert await drivers.read_back(undo) is False
        as_another_process_reads_it = from_json(undo.as_json())
        await drivers.undo(as_another_process_reads_it)
        await drivers.undo(as_another_process_reads_it)
        assert await drivers.read_back(undo) is True


async def test_an_undo_touches_no_other_name() -> None:
    async with redis_like() as upstream, toxiproxy() as url:
        server = await with_proxy(url, upstream)
        await server.add_toxic("cache", ToxicState(type="noop", name="somebody-elses"))
        site = InjectionContext("r1", url, {"redis": "cache"})
        change = toxic("redis", "latency", latency=20, jitter=0)
        undo = await drivers.prepare(change, site)
        await drivers.act(change, undo, site)
        await drivers.undo(undo)
        assert await toxic_names(server, "cache") == ["somebody-elses"]


@asynccontextmanager
async def guarded(folder: Path, token: str) -> AsyncIterator[tuple[Toxiproxy, InjectionContext]]:
    """A server that asks for a token before it changes anything, with the proxy `cache`."""
    file = folder / "toxiproxy.token"
    file.touch(0o600)
    file.write_text(token)
    async with redis_like() as upstream, toxiproxy("--token-file", str(file)) as url:
        server = Toxiproxy(url, token_file=file)
        where = ProxyState(listen="127.0.0.1:0", upstream=f"127.0.0.1:{upstream}", enabled=True)
        await server.create("cache", where)
        yield server, InjectionContext("r1", url, {"redis": "cache"}, Direct(token_file=file))


TOKEN = TOKEN_PREFIX + "1234567890abcdef"


async def test_a_record_names_where_the_token_stands_and_is_undone_with_it(tmp_path: Path) -> None:
    async with guarded(tmp_path, TOKEN) as (server, site):
        for change in (toxic("redis", "latency", latency=20, jitter=0), ProxyDown("redis")):
            undo = from_json(json.loads(json.dumps((await prepared(change, site)).as_json())))
            assert undo.as_json()["bearer"] == {"file": str(tmp_path / "toxiproxy.token")}
            assert TOKEN not in json.dumps(undo.as_json())
            assert isinstance(undo, NetworkUndo)
            with pytest.raises(ToxiproxyError, match="answered 401") as refused:
                await Toxiproxy(server.url).remove_toxic("cache", "gameday-r1-1")
            assert "--open-toxiproxy" in refused.value.help
            await drivers.undo(undo)
            assert await drivers.read_back(undo) is True


async def prepared(change: Change, site: InjectionContext) -> Undo:
    undo = await drivers.prepare(change, site)
    await drivers.act(change, undo, site)
    assert await drivers.read_back(undo) is False
    return undo


async def test_a_token_that_is_gone_leaves_it_unknown_whether_the_fault_is(tmp_path: Path) -> None:
    change = toxic("redis", "latency", latency=20, jitter=0)
    async with guarded(tmp_path, TOKEN) as (_, site):
        undo = await prepared(change, site)
        (tmp_path / "toxiproxy.token").unlink()
        with pytest.raises(StuckFaultError, match="answered 401"):
            await drivers.undo(undo, policy=UndoPolicy(escalate=False))
    with pytest.raises(StuckFaultError, match="could not be read back"):
        await drivers.undo(undo, policy=UndoPolicy(escalate=False, refused_s=0))
    assert await drivers.read_back(undo) is None  # away, and nobody knows whether it has ended


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://127.0.0.1:1", "another secret"),
        ("http://127.0.0.1:1", TOKEN_PREFIX + "x" * 5000),
        ("http://127.0.0.1:1", TOKEN + "\r\nX-Evil: 1"),
        ("http://example.com:8474", TOKEN),
        ("http://127.0.0.1@example.com:8474", TOKEN),
        ("http://127.0.0.1.example.com:8474", TOKEN),
    ],
)
def test_nothing_but_a_token_is_sent_and_only_to_this_machine(
    tmp_path: Path, url: str, text: str
) -> None:
    file = tmp_path / "secret"
    file.write_text(text, newline="")
    server = Toxiproxy(url, token_file=file)
    assert server.authorization() == {}


async def test_a_proxy_is_put_back_to_what_it_was() -> None:
    async with redis_like() as upstream, toxiproxy() as url:
        server = await with_proxy(url, upstream)
        site = InjectionContext("r1", url, {"redis": "cache"})
        undo = await drivers.prepare(ProxyDown("redis"), site)
        await drivers.act(ProxyDown("redis"), undo, site)
        assert await drivers.read_back(undo) is False
        with pytest.raises(ToxiproxyError, match="already disabled"):
            await drivers.prepare(ProxyDown("redis"), site)
        await drivers.undo(undo)
        assert await drivers.read_back(undo) is True
        found = await server.proxy("cache")
        assert found is not None
        assert found.enabled


async def is_on(server: Toxiproxy) -> bool:
    found = await server.proxy("cache")
    assert found is not None
    return found.enabled


async def changes_to(server: Toxiproxy, *, enabled: bool) -> None:
    async with asyncio.timeout(20):
        while await is_on(server) != enabled:
            await asyncio.sleep(0.01)


async def test_a_proxy_that_flaps_is_there_in_both_phases_and_stays_up_when_undone() -> None:
    async with redis_like() as upstream, toxiproxy() as url:
        server = await with_proxy(url, upstream)
        site = InjectionContext("r1", url, {"redis": "cache"}, seed=3)
        change = ProxyFlap("redis", 100, 100, 0)
        undo = await drivers.prepare(change, site)
        await drivers.act(change, undo, site)
        for enabled in (False, True, False):
            await changes_to(server, enabled=enabled)
            assert await in_place(drivers, change, undo) == IN_PLACE
        await drivers.undo(undo)
        await drivers.undo(undo)
        assert await drivers.read_back(undo) is True
        assert (await in_place(drivers, change, undo))[0] is False
        for _ in range(40):  # over several periods
            assert await is_on(server)
            await asyncio.sleep(0.01)


async def test_the_one_record_of_a_flap_takes_back_every_time_down() -> None:
    async with redis_like() as upstream, toxiproxy() as url:
        server = await with_proxy(url, upstream)
        site = InjectionContext("r1", url, {"redis": "cache"})
        change = ProxyFlap("redis", 100, 100, 0)
        undo = await drivers.prepare(change, site)
        assert undo.as_json()["enabled"] is True
        await drivers.act(change, undo, site)
        for enabled in (False, True, False):
            await changes_to(server, enabled=enabled)
        # As another process finds it: the work has ended with its owner, in the middle of a time.
        (work,) = [each for each in asyncio.all_tasks() if each.get_name() == f"{url} cache"]
        work.cancel()
        await asyncio.wait({work})
        assert not await is_on(server)
        others, as_read = Drivers(), from_json(json.loads(json.dumps(undo.as_json())))
        assert await others.read_back(as_read) is False
        await others.undo(as_read)
        assert await others.read_back(as_read) is True


def test_the_times_of_a_flap_are_those_of_its_seed() -> None:
    change = ProxyFlap("redis", 1000, 2000, 200)
    times = [flap_ms(change, 7, n) for n in range(200)]
    assert times == [flap_ms(change, 7, n) for n in range(200)]
    assert times != [flap_ms(change, 8, n) for n in range(200)]
    assert all(800 <= ms <= 1200 for ms in times[::2])
    assert all(1800 <= ms <= 2200 for ms in times[1::2])
    assert max(times[::2]) - min(times[::2]) > 200


class Stopped(SystemClock):
    """A clock whose every sleep is much longer than it was to be, as of a process that stood."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds + LATE_S + 0.1)


async def test_a_flap_of_a_process_that_stood_still_leaves_off() -> None:
    async with redis_like() as upstream, toxiproxy() as url:
        server = await with_proxy(url, upstream)
        site = InjectionContext("r1", url, {"redis": "cache"})
        change = ProxyFlap("redis", 100, 100, 0)
        undo = await drivers.prepare(change, site)
        assert isinstance(undo, ProxyUndo)
        await server.enable("cache", enabled=False)
        await flap(change, undo, 1, Stopped())
        assert not await is_on(server)


async def test_a_proxy_that_is_not_there_cannot_be_prepared() -> None:
    async with toxiproxy() as url:
        site = InjectionContext("r1", url, {"redis": "cache"})
        with pytest.raises(ToxiproxyError, match="no proxy 'cache'"):
            await drivers.prepare(toxic("redis", "latency", latency=1, jitter=0), site)


async def test_a_server_that_is_away_is_not_known_to_have_ended() -> None:
    async with toxiproxy() as url:
        pass
    undo = from_json({"kind": "toxic", "url": url, "proxy": "cache", "name": "gameday-r1-1"})
    with pytest.raises(StuckFaultError, match="could not be read back") as caught:
        await drivers.undo(undo, policy=UndoPolicy(escalate=False, refused_s=0))
    assert "restart it" in caught.value.help
    gone, why = await drivers.look(undo)
    assert gone is None
    assert "not known to have ended" in why


async def test_a_server_that_cannot_be_reached_may_still_break_things() -> None:
    url = "http://no-such-host.invalid:8474"
    undo = from_json({"kind": "toxic", "url": url, "proxy": "cache", "name": "gameday-r1-1"})
    with pytest.raises(StuckFaultError, match="no answer"):
        await drivers.undo(undo)
    with pytest.raises(ToxiproxyError, match="no answer"):
        await drivers.read_back(undo)


async def test_what_is_no_toxiproxy_is_told() -> None:
    html = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhtml"
    async with redis_like(html) as port:
        with pytest.raises(ToxiproxyError, match="GET /version answered 200: html"):
            await Toxiproxy(f"http://127.0.0.1:{port}").version()


async def test_a_proxy_that_somebody_removed_is_nobodys_to_switch_on() -> None:
    async with redis_like() as upstream, toxiproxy() as url:
        server = await with_proxy(url, upstream)
        site = InjectionContext("r1", url, {"redis": "cache"})
        undo = await drivers.prepare(ProxyDown("redis"), site)
        await server.call("DELETE", "/proxies/cache")
        await drivers.undo(undo)
        assert await drivers.read_back(undo) is True


def test_a_secret_that_is_not_set_names_the_variable() -> None:
    with pytest.raises(UsageError, match="GAMEDAY_NO_SUCH"):
        secret(FromEnv(env="GAMEDAY_NO_SUCH"), {})
    assert secret(FromEnv(env="A"), {"A": "b"}) == "b"
    assert Sender("http://x", {}, {"A": "b"}).environment == {"A": "b"}
