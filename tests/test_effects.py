"""Effects against the embedded Toxiproxy: act, read back, undo, twice, and by another process."""

import pytest

from gameday import effects
from gameday.changes import Undo, proxy_down, toxic
from gameday.effects.manner import Manner
from gameday.effects.request import Sender, secret
from gameday.effects.site import Site
from gameday.effects.toxiproxy import Toxiproxy, ToxiproxyError
from gameday.errors import StuckFaultError, UsageError
from gameday.system import FromEnv
from tests.toxiproxies import redis_like, toxiproxy


async def with_proxy(url: str, upstream: int, name: str = "cache") -> Toxiproxy:
    server = Toxiproxy(url)
    body = {"name": name, "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{upstream}"}
    assert (await server.call("POST", "/proxies", body))[0] == 201
    return server


async def test_a_toxic_is_there_while_it_acts_and_gone_when_undone() -> None:
    async with redis_like() as upstream, toxiproxy() as url:
        server = await with_proxy(url, upstream)
        site = Site("r1", url, {"redis": "cache"})
        change = toxic("redis", "latency", latency=20, jitter=0)
        undo = await effects.prepare(change, site)
        assert await server.toxic_names("cache") == []
        await effects.act(change, undo, site)
        assert await server.toxic_names("cache") == ["gameday-r1-1"]
        assert await effects.read_back(undo) is False
        as_another_process_reads_it = Undo.from_json(undo.as_json())
        await effects.undo(as_another_process_reads_it)
        await effects.undo(as_another_process_reads_it)
        assert await effects.read_back(undo) is True


async def test_an_undo_touches_no_other_name() -> None:
    async with redis_like() as upstream, toxiproxy() as url:
        server = await with_proxy(url, upstream)
        await server.add_toxic("cache", {"type": "noop", "name": "somebody-elses"})
        site = Site("r1", url, {"redis": "cache"})
        change = toxic("redis", "latency", latency=20, jitter=0)
        undo = await effects.prepare(change, site)
        await effects.act(change, undo, site)
        await effects.undo(undo)
        assert await server.toxic_names("cache") == ["somebody-elses"]


async def test_a_proxy_is_put_back_to_what_it_was() -> None:
    async with redis_like() as upstream, toxiproxy() as url:
        server = await with_proxy(url, upstream)
        site = Site("r1", url, {"redis": "cache"})
        undo = await effects.prepare(proxy_down("redis"), site)
        await effects.act(proxy_down("redis"), undo, site)
        assert await effects.read_back(undo) is False
        with pytest.raises(ToxiproxyError, match="already disabled"):
            await effects.prepare(proxy_down("redis"), site)
        await effects.undo(undo)
        assert await effects.read_back(undo) is True
        found = await server.proxy("cache")
        assert found is not None
        assert found["enabled"]


async def test_a_proxy_that_is_not_there_cannot_be_prepared() -> None:
    async with toxiproxy() as url:
        site = Site("r1", url, {"redis": "cache"})
        with pytest.raises(ToxiproxyError, match="no proxy 'cache'"):
            await effects.prepare(toxic("redis", "latency", latency=1, jitter=0), site)


async def test_a_rate_that_makes_the_real_server_panic_is_never_sent() -> None:
    async with redis_like() as upstream, toxiproxy() as url:
        await with_proxy(url, upstream)
        site = Site("r1", url, {"redis": "cache"})
        with pytest.raises(UsageError, match="rate = -1"):
            await effects.prepare(toxic("redis", "bandwidth", rate=-1), site)


async def test_a_server_that_is_gone_took_its_toxics_with_it() -> None:
    async with toxiproxy() as url:
        pass
    undo = Undo("toxic", {"url": url, "proxy": "cache", "name": "gameday-r1-1"})
    await effects.undo(undo, manner=Manner(refused_s=0))
    assert await effects.read_back(undo) is True


async def test_a_server_that_cannot_be_reached_may_still_break_things() -> None:
    url = "http://no-such-host.invalid:8474"
    undo = Undo("toxic", {"url": url, "proxy": "cache", "name": "gameday-r1-1"})
    with pytest.raises(StuckFaultError, match="no answer"):
        await effects.undo(undo)
    with pytest.raises(ToxiproxyError, match="no answer"):
        await effects.read_back(undo)


async def test_what_is_no_toxiproxy_is_told() -> None:
    html = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhtml"
    async with redis_like(html) as port:
        with pytest.raises(ToxiproxyError, match="GET /version answered 200: html"):
            await Toxiproxy(f"http://127.0.0.1:{port}").version()


async def test_a_proxy_that_somebody_removed_is_nobodys_to_switch_on() -> None:
    async with redis_like() as upstream, toxiproxy() as url:
        server = await with_proxy(url, upstream)
        site = Site("r1", url, {"redis": "cache"})
        undo = await effects.prepare(proxy_down("redis"), site)
        await server.call("DELETE", "/proxies/cache")
        await effects.undo(undo)
        assert await effects.read_back(undo) is True


def test_a_secret_that_is_not_set_names_the_variable() -> None:
    with pytest.raises(UsageError, match="GAMEDAY_NO_SUCH"):
        secret(FromEnv(env="GAMEDAY_NO_SUCH"), {})
    assert secret(FromEnv(env="A"), {"A": "b"}) == "b"
    assert Sender("http://x", {}, {"A": "b"}).environment == {"A": "b"}
