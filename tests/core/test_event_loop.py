"""The loop connects only where it may, whichever library asks it to."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import redis.asyncio

from gameday.core.network.allow_list import Allowed, RefusedError, refusal
from gameday.core.network.event_loop import allowed_here, run
from tests.core.test_allow_list import AWAY, Table
from tests.traffic.test_tls import certificate, needs_openssl

__all__ = ["certificate"]

BOTH = pytest.mark.parametrize("fast", [False, True], ids=["selector", "uvloop"])
Open = Callable[[str, int], Coroutine[Any, Any, object]]


@contextmanager
def listening() -> Iterator[socket.socket]:
    """A port of loopback at which connections are taken, and nothing is said."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        yield server


async def arrives(client: Open, host: str, server: socket.socket) -> bool:
    """Whether the client gets to the server; what it says there does not matter."""
    going = asyncio.ensure_future(client(host, server.getsockname()[1]))
    taken, _ = await asyncio.get_running_loop().sock_accept(server)
    taken.close()
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)
    return True


async def _stream(host: str, port: int) -> object:
    _, writer = await asyncio.open_connection(host, port)
    writer.transport.abort()
    return writer


async def _http(host: str, port: int) -> object:
    name = f"[{host}]" if ":" in host else host
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(f"http://{name}:{port}/")


async def _postgres(host: str, port: int) -> object:
    return await asyncpg.connect(host=host, port=port, user="u", password="p")


async def _redis(host: str, port: int) -> object:
    client = redis.asyncio.Redis(host=host, port=port)
    try:
        return await client.ping()
    finally:
        await client.aclose()


async def _socket(host: str, port: int) -> object:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
        sock.settimeout(0)
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
        return sock


CLIENTS = {
    "stream": _stream,
    "http": _http,
    "postgres": _postgres,
    "redis": _redis,
    "socket": _socket,
}


def table() -> Table:
    return Table(
        here=[["127.0.0.1"]],
        away=[[AWAY]],
        half=[["127.0.0.1", AWAY]],
        rebound=[["127.0.0.1"], [AWAY]],
    )


@BOTH
@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
@pytest.mark.parametrize("host", [AWAY, "::ffff:203.0.113.7", "away", "half", "3405803783"])
def test_no_library_gets_to_another_host(client: Open, host: str, fast: bool) -> None:
    if client is _socket and (host.isalnum() or ":" in host):
        host = AWAY  # a socket is given an address of its family
    with pytest.raises(Exception) as caught:
        run(client(host, 9), Allowed(lookup=table()), fast=fast)
    found = refusal(caught.value)
    assert found is not None, repr(caught.value)
    assert "--allow-target" in found.help


@BOTH
@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "here", "rebound"])
def test_every_library_gets_to_this_machine(client: Open, host: str, fast: bool) -> None:
    if client is _socket and host.isalpha() and fast:
        host = "127.0.0.1"  # uvloop takes only addresses here
    with listening() as server:
        assert run(arrives(client, host, server), Allowed(lookup=table()), fast=fast)


@BOTH
def test_an_answer_that_changes_is_not_followed(fast: bool) -> None:
    names = table()

    async def twice() -> None:
        await arrives(_stream, "rebound", server)
        await arrives(_http, "rebound", server)

    with listening() as server:
        run(twice(), Allowed(lookup=names), fast=fast)
    assert names.asked == 1


@BOTH
def test_who_refuses_is_known_as_refusing(fast: bool) -> None:
    with listening() as server:
        port = server.getsockname()[1]
    both = Allowed(lookup=Table(localhost=[["::1", "127.0.0.1"]]))
    with pytest.raises(ConnectionRefusedError):
        run(_stream("localhost", port), both, fast=fast)
    with pytest.raises(socket.gaierror, match="gone has no address"):
        run(_stream("gone", port), both, fast=fast)


@BOTH
@needs_openssl
def test_a_certificate_is_checked_for_the_name_that_was_asked_for(
    certificate: Path,
    fast: bool,
) -> None:
    """The name that a server is told (SNI) is the one of the URL, not the address behind it."""
    told: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    context.sni_callback = lambda _, name, __: told.append(name)

    async def ask() -> None:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        _, writer = await asyncio.open_connection("here", port, ssl=trusting)
        writer.transport.abort()
        server.close()

    run(ask(), Allowed(lookup=table()), fast=fast)
    assert told == ["here"]


@BOTH
def test_unix_sockets_are_this_machine(tmp_path: Path, fast: bool) -> None:
    path = tmp_path / "s"

    async def ask() -> bytes:
        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"yes")
            writer.close()

        server = await asyncio.start_unix_server(answer, path)
        reader, writer = await asyncio.open_unix_connection(path)
        said = await reader.read()
        writer.close()
        server.close()
        return said

    assert run(ask(), fast=fast) == b"yes"


@BOTH
def test_datagrams_are_not_sent(fast: bool) -> None:
    async def send() -> None:
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(AWAY, 9))

    with pytest.raises(NotImplementedError):
        run(send(), fast=fast)


def test_what_may_be_used_is_known_on_the_loop_and_a_plain_one_allows_nothing_else() -> None:
    allowed = Allowed([AWAY])

    async def here() -> Allowed:
        return allowed_here()

    assert run(here(), allowed) is allowed
    with asyncio.Runner() as runner, pytest.raises(RefusedError):
        runner.run(here()).check(AWAY)
