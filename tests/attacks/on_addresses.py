"""Ways to another host: spellings, answers that change, joined URLs, stores, proxies, children.

Nothing is ever sent to another host: an attack has won when the refusal is missing, and what is
named (203.0.113.0/24, which nobody has) would not answer.
"""

import asyncio
import json
import os
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import asyncpg
import pytest

from gameday.core.clock import SystemClock
from gameday.core.errors import FileError, GamedayError, UsageError
from gameday.core.network.allow_list import Allowed, NoAddressError, Reach, RefusedError, refusal
from gameday.core.network.event_loop import run
from gameday.core.network.urls import Base
from gameday.injection.context import InjectionContext
from gameday.injection.drivers import Drivers, postgres_session
from gameday.injection.drivers.proxy import put_back
from gameday.injection.drivers.request import RequestError, Sender
from gameday.injection.heal import Left, take_back
from gameday.injection.toxiproxy_client import Toxiproxy
from gameday.injection.undo_policy import UndoPolicy
from gameday.plan import service_checks
from gameday.plan.validate import validate_system
from gameday.spec.inputs import load_system
from gameday.spec.request import Request
from gameday.spec.system import System
from gameday.spec.targets import refuse_foreign
from gameday.spec.tls import Tls
from gameday.spec.undos import ProxyState, from_json
from gameday.telemetry.collector.scrape import Scraper
from gameday.telemetry.collector.settings import ScrapeTarget
from gameday.traffic.worker.client import Client, ClientSettings
from tests.attacks.place import Place
from tests.attacks.registry import attack
from tests.support.stack_parts import document_of
from tests.support.toxics import toxic

drivers = Drivers()

AWAY = "203.0.113.7"
CLOCK = SystemClock()


def table(name: str) -> Sequence[str]:
    """The names of these attacks; the real resolver is not asked."""
    known = {"away": [AWAY], "half": ["127.0.0.1", AWAY], "here": ["127.0.0.1"]}
    if name not in known:
        raise OSError(-2, "Name or service not known")
    return known[name]


def this_machine() -> Allowed:
    return Allowed(lookup=table)


def must_be_refused(work: Callable[[], object]) -> GamedayError:
    """Assert that an address was refused, and told with its cure."""
    try:
        work()
    except RefusedError as error:
        assert "--allow-target" in error.help
        return error
    except (GamedayError, ExceptionGroup) as error:
        found = refusal(error)
        assert found is not None, f"refused for another reason: {error!r}"
        return found
    raise AssertionError("it was not refused")


FOREIGN = {
    "dotted": AWAY,
    "decimal": "3405803783",
    "hex": "0xcb007107",
    "octal": "0313.0.0161.07",
    "short": "203.28935",
    "mapped": "::ffff:203.0.113.7",
    "mapped-hex": "[::ffff:cb00:7107]",
    "fullwidth": "２０３.0.113.7",
    "trailing-dot": "203.0.113.7.",
    "name": "away",
    "name-in-capitals": "AWAY.",
    "one-of-two": "half",
    "metadata": "169.254.169.254",
    "link-local": "fe80::1%lo",
    "private": "10.0.0.1",
    "nat64": "64:ff9b::7f00:1",
    "6to4": "2002:7f00:1::",
    "compatible": "::127.0.0.1",
    "zero-net": "0.0.0.1",
    "broadcast": "255.255.255.255",
    "multicast": "224.0.0.1",
}


@attack("addresses", FOREIGN)
def another_host_by_any_spelling(place: Place, host: str) -> None:
    del place
    must_be_refused(lambda: this_machine().check(host))
    must_be_refused(lambda: run(_open(host), this_machine()))


async def _open(host: str, port: int = 9) -> None:
    await asyncio.open_connection(host.strip("[]"), port)


NO_HOSTS = {
    "userinfo": "127.0.0.1@203.0.113.7",
    "port": "127.0.0.1:80",
    "nul": "127.0.0.1\0.evil",
    "space": "127.0.0.1 203.0.113.7",
    "slash": "127.0.0.1/../203.0.113.7",
    "backslash": "127.0.0.1\\203.0.113.7",
    "percent": "%32%30%33.0.113.7",
    "comma": "127.0.0.1,203.0.113.7",
    "five-parts": "127.0.0.1.1",
    "long": "a" * 100_000,
    "soft-hyphens": "\xad",
    "surrogate": "\udc80",
}


@attack("addresses", NO_HOSTS)
def no_host_at_all(place: Place, text: str) -> None:
    del place
    with pytest.raises(NoAddressError):
        this_machine().check(text)


async def _by_http(host: str) -> None:
    sender = Sender(f"http://{host}:9", {}, {"TOKEN": "secret"})
    await sender.send(Request.model_validate({"get": "/"}))


async def _by_postgres(host: str) -> None:
    await postgres_session.connect(f"postgresql://u:p@{host}:9/db", timeout=2)


MEMORY = {"maxmemory": 1, "maxmemory_before": 0, "policy_before": "noeviction"}


async def _by_redis(host: str) -> None:
    undo = from_json({"kind": "redis", "do": "memory", "url": {"env": "R"}, "name": "n", **MEMORY})
    await drivers.undo(undo, {"R": f"redis://:secret@{host}:9"})


async def _by_toxiproxy(host: str) -> None:
    await Toxiproxy(f"http://{host}:9").version()


async def _by_undo(host: str) -> None:
    data = {"url": f"http://{host}:9", "proxy": "p", "name": "gameday-x-1"}
    await drivers.undo(
        from_json({"kind": "toxic", **data, "ours": "gameday-x-", "part": None, "was": {}})
    )


async def _by_request_undo(host: str) -> None:
    data = {"action": "a", "base_url": f"http://{host}:9", "values": {}}
    request = {"post": "/", "headers": {"Authorization": {"env": "HOME"}}}
    await drivers.undo(from_json({"kind": "request", **data, "request": request}))


async def _by_sql_undo(host: str) -> None:
    data = {"do": "lock", "dsn": {"env": "D"}, "name": "n"}
    await drivers.undo(from_json({"kind": "sql", **data}), {"D": f"postgresql://u:p@{host}:9/db"})


async def _by_socket(host: str) -> None:
    with socket.socket() as sock:
        sock.setblocking(False)  # noqa: FBT003
        await asyncio.get_running_loop().sock_connect(sock, (host, 9))


CLIENTS: dict[str, Callable[[str], Coroutine[Any, Any, None]]] = {
    "http": _by_http,
    "postgres": _by_postgres,
    "redis-undo": _by_redis,
    "toxiproxy": _by_toxiproxy,
    "toxic-undo": _by_undo,
    "request-undo": _by_request_undo,
    "sql-undo": _by_sql_undo,
}


@attack("addresses", {f"{c}-{h}": (CLIENTS[c], h) for c in CLIENTS for h in ("away", "half", AWAY)})
def whatever_connects(place: Place, case: tuple[Callable[..., Any], str]) -> None:
    del place
    client, host = case
    must_be_refused(lambda: run(client(host), this_machine()))


@attack("addresses")
def a_socket_that_is_connected_by_hand(place: Place) -> None:
    del place
    must_be_refused(lambda: run(_by_socket(AWAY), this_machine()))


@attack("addresses", {"selector": False, "uvloop": True})
def an_answer_of_the_resolver_that_changes(place: Place, fast: bool) -> None:
    """DNS rebinding: this machine when it is checked, another when it is connected to."""
    del place
    turns = [["127.0.0.1"], [AWAY], [AWAY]]
    allowed = Allowed(lookup=lambda _: turns.pop(0))

    async def twice() -> None:
        allowed.check("rebound")
        for _ in range(2):
            with suppress(ConnectionRefusedError):
                await _open("rebound", 9)

    run(twice(), allowed, fast=fast)
    assert len(turns) == 2, "it was looked up again"


@attack(
    "addresses", {"pinned-elsewhere": {"localhost": (AWAY,)}, "pinned-half": {"x": ("::1", AWAY)}}
)
def a_table_that_was_forged_on_its_way(place: Place, pinned: Mapping[str, tuple[str, ...]]) -> None:
    del place
    allowed = Allowed.of(Reach((), pinned))
    for name in pinned:
        must_be_refused(lambda name=name: allowed.check(name))  # type: ignore[misc]


@attack("addresses", {"away": "away", "half": "half", "dotted": AWAY, "decimal": "3405803783"})
def traffic(place: Place, host: str) -> None:
    """The worker resolves by itself, and opens its own sockets."""
    del place

    async def resolve() -> None:
        system = System.model_validate(document_of())
        settings = ClientSettings(answers=_answers(system), timeout_s=1.0)
        client = Client(settings, CLOCK, lambda: None)
        await client.resolve(Base.parse(f"http://{host}:9"), this_machine())

    must_be_refused(lambda: run(resolve(), Allowed(["away", "half", AWAY])))


def _answers(system: System) -> Any:
    from gameday.traffic.worker.classify import Answers

    return Answers(system.requests.issue)


PATHS = {
    "at": "@203.0.113.7:80/close",
    "dot": ".example/close",
    "port": ":81/close",
    "two-slashes": "//203.0.113.7/close",
    "backslash": "/\\203.0.113.7/close",
    "backslashes": "\\\\203.0.113.7",
    "whole-url": "http://203.0.113.7/close",
    "none": "close",
    "empty": "",
    "line": "/close\r\nHost: away",
    "tab": "/\t/203.0.113.7",
    "nul": "/close\0",
    "space": "/close HTTP/1.1 x",
    "fragment": "/close#@away",
    "query-first": "?@203.0.113.7/",
}
PLACES: dict[str, Sequence[str]] = {
    "issue": ("requests", "issue", "post"),
    "campaign": ("campaign", "post"),
    "close": ("close", "put"),
    "audit": ("audit", "get"),
    "action": ("actions", "pause", "delete"),
    "ready": ("start", "ready"),
}


def with_path(keys: Sequence[str], path: str) -> dict[str, Any]:
    document: dict[str, Any] = document_of()
    at = document
    for key in keys[:-1]:
        at = at.setdefault(key, {})
    at[keys[-1]] = path
    return document


@attack(
    "addresses", {f"{p}-{t}": (PLACES[p], PATHS[t]) for p in PLACES for t in ("at", "two-slashes")}
)
def a_path_anywhere(place: Place, case: tuple[Sequence[str], str]) -> None:
    refused_by_validate(place, with_path(*case), case[0][-1])


@attack("addresses", PATHS)
def a_path_of_any_kind(place: Place, path: str) -> None:
    refused_by_validate(place, with_path(("close", "post"), path), "post")
    request = Request.model_validate({"post": path})
    with pytest.raises(UsageError, match="the path"):
        run(Sender("http://127.0.0.1:9", {}, {}).send(request))


def refused_by_validate(place: Place, document: Mapping[str, Any], key: str) -> None:
    """Assert that the file is refused with the line of what is wrong in it."""
    path = place.write("system.yaml", json.dumps(document, indent=1))
    with pytest.raises(FileError) as caught:
        validate_system(load_system(path))
    told = path.read_text().splitlines()[caught.value.place.line - 1]
    assert f'"{key}"' in told, f"{caught.value} is said of the line {told!r}"


BASES = {
    "userinfo": "http://127.0.0.1:80@203.0.113.7",
    "user": "http://user@127.0.0.1:80",
    "empty-user": "http://@127.0.0.1",
    "backslash": "http://127.0.0.1\\@203.0.113.7",
    "query": "http://127.0.0.1?x=",
    "fragment": "http://127.0.0.1#",
    "port-zero": "http://127.0.0.1:0",
    "port-large": "http://127.0.0.1:65616",
    "port-text": "http://127.0.0.1:80a",
    "port-empty": "http://127.0.0.1:",
    "port-sign": "http://127.0.0.1:+80",
    "port-arabic": "http://127.0.0.1:٨٠",
    "tab": "http://127.0.0.1\t.evil",
    "scheme": "file:///etc/passwd",
    "gopher": "gopher://127.0.0.1:6379/_x",
    "ip-in-brackets": "http://[127.0.0.1]/",
    "open-bracket": "http://[::1/",
    "long": "http://" + "a" * 100_000,
    "two-slashes": "http://127.0.0.1//203.0.113.7",
}


@attack("addresses", BASES)
def a_base_of_any_kind(place: Place, text: str) -> None:
    refused_by_validate(place, {**document_of(), "base_url": text}, "base_url")


@attack("addresses", {k: k for k in ("notify", "webhook", "webhooks", "notifications", "slack")})
def a_webhook_that_a_system_file_names(place: Place, key: str) -> None:
    refused_by_validate(place, {**document_of(), key: f"http://{AWAY}/hook"}, key)


DSNS = {
    "plain": f"postgresql://u:secretpw@{AWAY}/db",
    "second-host": f"postgresql://u:secretpw@127.0.0.1,{AWAY}/db",
    "query-host": f"postgresql://u:secretpw@127.0.0.1/db?host={AWAY}",
    "query-only": f"postgresql:///db?host={AWAY}&password=secretpw",
    "hostaddr": f"postgresql://u:secretpw@127.0.0.1/db?hostaddr={AWAY}",
    "encoded": "postgresql://u:secretpw@%32%30%33.0.113.7/db",
    "two-at": f"postgresql://u:secretpw@{AWAY}@127.0.0.1/db",
    "no-host": "postgresql:///db",
    "service": "postgresql:///?service=away",
    "decimal": "postgresql://u:secretpw@3405803783/db",
    "redis": f"redis://:secretpw@{AWAY}:6379",
    "rediss": f"rediss://:secretpw@{AWAY}:6379",
    "redis-encoded": "redis://:secretpw@%32%30%33.0.113.7",
    "redis-query": f"redis://?host={AWAY}&password=secretpw",
    "redis-at": f"redis://127.0.0.1:secretpw@x@{AWAY}",
}


@attack("addresses", {f"{how}-{d}": (how, DSNS[d]) for how in ("env", "file") for d in DSNS})
def a_store_behind_a_reference(place: Place, case: tuple[str, str]) -> None:
    how, url = case
    secret = place.write("secret", url)
    reference = {"env": "STORE"} if how == "env" else {"file": str(secret)}
    stores: dict[str, Any] = {"postgres": {"dsn": reference, "rows": "SELECT 1, 2"}}
    if url.startswith("redis"):
        stores = {"redis": {"url": reference, "remaining": "r", "holders": "h"}}
    system = System.model_validate({**document_of(), "stores": stores})
    with pytest.raises(UsageError, match=r"stores\.") as caught:
        refuse_foreign(system, this_machine(), {"STORE": url})
    assert "secretpw" not in f"{caught.value}{caught.value.help}"


ENVIRONMENT = {
    "host": {"PGHOST": AWAY},
    "hostaddr": {"PGHOSTADDR": AWAY},
    "service": {"PGSERVICE": "away", "PGSERVICEFILE": "service"},
    "port": {"PGPORT": "1"},
}


@attack("addresses", ENVIRONMENT)
def an_environment_that_moves_postgres(place: Place, variables: Mapping[str, str]) -> None:
    """What the address says is where it goes, whatever the shell says."""
    os.chdir(place.folder)
    place.write("service", f"[away]\nhost={AWAY}\nport=1\n")
    os.environ.update(variables)
    assert _arrives(lambda port: postgres_session.connect(f"postgresql://u:p@127.0.0.1:{port}/db"))
    with pytest.raises((OSError, asyncpg.PostgresError)) as caught:  # the default port, not PGPORT
        run(postgres_session.connect("postgresql://u:p@127.0.0.1/db", timeout=3))
    assert ("PGPORT" not in variables) or "5432" in str(caught.value)
    with pytest.raises(UsageError, match="names no host"):
        run(postgres_session.connect("postgresql:///db?service=away"))


@attack("addresses", {n: n for n in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")})
def a_proxy_of_the_shell(place: Place, name: str) -> None:
    del place
    os.environ.update({name: f"http://{AWAY}:3128", "NO_PROXY": "", "no_proxy": ""})
    request = Request.model_validate({"get": "/"})
    assert _arrives(lambda port: Sender(f"http://127.0.0.1:{port}", {}, {}).send(request))
    assert _arrives(lambda port: Toxiproxy(f"http://127.0.0.1:{port}").version())


def _arrives(client: Callable[[int], Coroutine[Any, Any, object]]) -> bool:
    """Whether somebody comes to a port of loopback when `client` is told it."""

    async def wait(server: socket.socket) -> bool:
        going = asyncio.ensure_future(client(server.getsockname()[1]))
        coming = asyncio.ensure_future(asyncio.get_running_loop().sock_accept(server))
        await asyncio.wait({going, coming}, return_when=asyncio.FIRST_COMPLETED, timeout=20)
        came = coming.done()
        for each in (going, coming):
            each.cancel()
        await asyncio.gather(going, coming, return_exceptions=True)
        return came

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)  # noqa: FBT003
        return run(wait(server))


UPSTREAMS = {
    "dotted": f"{AWAY}:6379",
    "mapped": "[::ffff:203.0.113.7]:6379",
    "decimal": "3405803783:6379",
    "unknown-name": "redis.invalid:6379",
    "no-port": AWAY,
    "nonsense": "@@@:1",
    "metadata": "169.254.169.254:80",
}


@attack("addresses", UPSTREAMS)
def a_proxy_that_leads_away(place: Place, upstream: str) -> None:
    """A fault into it would break what stands on another host."""
    del place
    shown = {"name": "p", "listen": "127.0.0.1:1", "upstream": upstream, "enabled": True}
    with serving({"/proxies/p": (200, json.dumps({**shown, "toxics": []}))}) as url:
        site = InjectionContext("run", url, {"redis": "p"})
        error = must_be_refused(
            lambda: run(drivers.prepare(toxic("redis", "latency", latency=1), site))
        )
    assert "'p'" in error.message
    with serving({}) as url:
        wanted = ProxyState(listen="127.0.0.1:1", upstream=upstream, enabled=True)
        must_be_refused(lambda: run(put_back(Toxiproxy(url), "p", wanted)))


REDIRECTS = {str(status): status for status in (301, 302, 303, 307, 308)}


@attack("addresses", REDIRECTS)
def an_answer_that_sends_on(place: Place, status: int) -> None:
    """Nobody follows: not a request with its token, not a look, not a scrape."""
    del place
    with serving({}) as other, serving({"*": (status, "")}, location=f"{other}/stolen") as url:
        system = System.model_validate({**document_of(), "base_url": url})
        request = Request.model_validate({"post": "/x", "headers": {"Authorization": "t"}})

        async def ask() -> None:
            with suppress(RequestError):
                await Sender(url, {}, {}).send(request)
            await service_checks.service(system)
            scraper = Scraper([ScrapeTarget(name="t", url=url)], 5.0, Tls())
            assert not (await scraper.ask_all())[0].up
            await scraper.close()
            with suppress(GamedayError):
                await Toxiproxy(url).version()

        run(ask())
    assert not SEEN.get(other), f"somebody followed: {SEEN[other]}"
    assert len(SEEN[url]) >= 4


@attack("addresses", {"toxic": "toxic", "request": "request"})
def a_journal_that_leads_away(place: Place, kind: str) -> None:
    """Healing goes where the command line allows, not where a record says."""
    del place
    undo = {
        "toxic": from_json(
            {"kind": "toxic", "url": f"http://{AWAY}:9", "proxy": "p", "name": "gameday-r-1"}
        ),
        "request": from_json(
            {
                "kind": "request",
                "action": "a",
                "base_url": f"http://{AWAY}:9",
                "values": {},
                "request": {"post": "/", "headers": {"Authorization": {"env": "HOME"}}},
            },
        ),
    }[kind]
    healed = run(
        take_back(Left("fault", "lock-1", undo), {}, UndoPolicy(), drivers), this_machine()
    )
    assert healed.gone is not True  # not known: exit code 6
    assert f"{AWAY} is not this machine" in healed.why


ENTRIES = {
    "url": f"http://{AWAY}",
    "port": f"{AWAY}:80",
    "list": "a,b",
    "star": "*",
    "cidr": "::/0",
}


@attack("addresses", ENTRIES)
def an_allow_list_that_means_more_than_it_says(place: Place, entry: str) -> None:
    del place
    with pytest.raises(NoAddressError):
        Allowed([entry])


@attack(
    "addresses", {"cluster": b"-MOVED 1 203.0.113.7:6379\r\n", "ask": b"-ASK 1 203.0.113.7:1\r\n"}
)
def a_redis_that_sends_on(place: Place, answer: bytes) -> None:
    del place
    data = {"do": "memory", "url": {"env": "R"}, "name": "n", **MEMORY}

    async def ask() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.read(256):
                writer.write(answer)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with suppress(GamedayError):
            await drivers.undo(
                from_json({"kind": "redis", **data}), {"R": f"redis://127.0.0.1:{port}"}
            )
        server.close()

    run(ask(), this_machine())


SEEN: dict[str, list[str]] = {}
Pages = Mapping[str, tuple[int, str]]


@contextmanager
def serving(pages: Pages, location: str = "") -> Iterator[str]:
    """A server of pages, which notes who asked; `*` is any path, what is not known is 404."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            asked.append(self.path)
            status, body = pages.get(self.path) or pages.get("*") or (404, "")
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_POST = do_PUT = do_DELETE = _answer

        def log_message(self, format: str, *_: Any) -> None:
            """Nothing on the screen of the attacks."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    SEEN[url] = asked
    try:
        yield url
    finally:
        server.shutdown()
        server.server_close()
