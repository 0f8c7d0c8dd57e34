"""Effects against the embedded Toxiproxy: act, read back, undo, twice, and by another process."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gameday.core.errors import StuckFaultError, UsageError
from gameday.injection.context import Direct, InjectionContext
from gameday.injection.drivers import Drivers
from gameday.injection.drivers.request import Sender, secret
from gameday.injection.toxiproxy_client import TOKEN_PREFIX, Toxiproxy, ToxiproxyError
from gameday.injection.undo_policy import UndoPolicy
from gameday.spec.changes import Change, ProxyDown
from gameday.spec.request import FromEnv
from gameday.spec.undos import NetworkUndo, Undo, from_json
from tests.support.toxics import toxic
from tests.support.toxiproxies import redis_like, toxiproxy

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
        assert await server.toxic_names("cache") == []
        await drivers.act(change, undo, site)
        assert await server.toxic_names("cache") == ["gameday-r1-1"]
        assert await drivers.read_back(undo) is False
        as_another_process_reads_it = from_json(undo.as_json())
        await drivers.undo(as_another_process_reads_it)
        await drivers.undo(as_another_process_reads_it)
        assert await drivers.read_back(undo) is True


async def test_an_undo_touches_no_other_name() -> None:
    async with redis_like() as upstream, toxiproxy() as url:
        server = await with_proxy(url, upstream)
        await server.add_toxic("cache", {"type": "noop", "name": "somebody-elses"})
        site = InjectionContext("r1", url, {"redis": "cache"})
        change = toxic("redis", "latency", latency=20, jitter=0)
        undo = await drivers.prepare(change, site)
        await drivers.act(change, undo, site)
        await drivers.undo(undo)
        assert await server.toxic_names("cache") == ["somebody-elses"]


@asynccontextmanager
async def guarded(folder: Path, token: str) -> AsyncIterator[tuple[Toxiproxy, InjectionContext]]:
    """A server that asks for a token before it changes anything, with the proxy `cache`."""
    file = folder / "toxiproxy.token"
    file.touch(0o600)
    file.write_text(token)
    async with redis_like() as upstream, toxiproxy("--token-file", str(file)) as url:
        server = Toxiproxy(url, token_file=file)
        body = {"name": "cache", "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{upstream}"}
        await server.create({**body, "enabled": True})
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
        assert found["enabled"]


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
