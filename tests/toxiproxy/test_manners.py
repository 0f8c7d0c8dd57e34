"""One client misbehaves: the others are answered, memory stays bounded, and the server ends.

The whole of it is among the attacks (`tests/attacks/on_toxiproxy.py`); here is what the README's
table of differences says of it.
"""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from gameday.toxiproxy.http import HEAD_BYTES_MAX
from gameday.toxiproxy.settings import CLIENTS_MAX
from tests.support.toxiproxy_raw import Server, patience, serving

VERSION = b"GET /version HTTP/1.1\r\n\r\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path) as made:
        yield made


CHUNKED = b"POST /reset HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /" + b"a" * HEAD_BYTES_MAX, 431),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 12_000, 431),
        (b"POST /reset HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 1_100_000, 413),
        (CHUNKED + b"ffff\r\n" + b"x" * 65535 + b"\r\n" + b"1\r\nx\r\n" * 300_000, 413),
        (CHUNKED + b"0\r\nx: " + b"a" * 1_100_000, 413),
    ],
    ids=["url", "headers", "body", "chunks", "trailer"],
)
def test_a_request_without_an_end_is_refused_within_bounds(
    server: Server, raw: bytes, status: int
) -> None:
    with server.connect() as sock:
        with suppress(OSError):  # the rest of what is too long need not be taken
            sock.sendall(raw)
        assert sock.recv(12) == f"HTTP/1.1 {status}".encode()


def test_a_client_that_does_not_read_is_not_read_from(server: Server) -> None:
    before_mb = server.memory_mb()
    with server.connect() as sock:
        sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            while True:
                sock.sendall(VERSION * 500)
        assert server.slowest_s() < patience(1.0)
        assert server.memory_mb() - before_mb < 20


def test_one_client_too_many_takes_the_place_of_the_idlest(server: Server) -> None:
    with ExitStack() as stack:
        used, *silent = [stack.enter_context(server.connect()) for _ in range(CLIENTS_MAX)]
        used.sendall(VERSION)
        assert used.recv(12) == b"HTTP/1.1 200"
        stack.enter_context(server.connect())
        assert _is_closed(silent[0])
        assert not _is_closed(silent[1])
        used.sendall(VERSION)
        assert used.recv(8) != b""


def _is_closed(sock: socket.socket) -> bool:
    sock.settimeout(0.3)
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def test_there_is_an_end_to_proxies_toxics_and_names(server: Server) -> None:
    entries = [{"name": f"p{n}", "upstream": "u:1", "enabled": False} for n in range(4097)]
    assert server.ask("POST", "/populate", json.dumps(entries).encode()).status == 400
    assert server.proxies() == {}
    assert server.ask("POST", "/populate", json.dumps(entries[:4096]).encode()).status == 201
    assert server.ask("POST", "/proxies", json.dumps(entries[4096]).encode()).status == 400
    for number in range(257):
        toxic = json.dumps({"type": "noop", "name": f"t{number}"}).encode()
        answer = server.ask("POST", "/proxies/p1/toxics", toxic)
        assert answer.status == (200 if number < 256 else 400)
    assert server.ask("DELETE", "/proxies/p0").status == 204
    long = json.dumps({"name": "x" * 4096, "upstream": "u:1"}).encode()
    assert server.ask("POST", "/proxies", long).status == 400
    long = json.dumps({"type": "noop", "name": "x" * 1025}).encode()
    assert server.ask("POST", "/proxies/p2/toxics", long).status == 400


def test_it_ends_in_time_whatever_its_clients_do(server: Server) -> None:
    port = server.proxy("p", "127.0.0.1:1")
    with ExitStack() as stack:
        for raw in (b"", b"GET /", VERSION * 2000, b"POST /reset HTTP/1.1\r\nContent-Length: 9"):
            for _ in range(20):
                sock = stack.enter_context(server.connect())
                sock.sendall(raw)
        stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        server.end()


def test_many_requests_in_one_packet_are_answered_in_turn_with_those_of_others(
    server: Server,
) -> None:
    with server.connect() as busy:
        busy.sendall(VERSION * 5000)
        begun_s = time.monotonic()
        assert server.ask("GET", "/version").status == 200
        assert time.monotonic() - begun_s < patience(1.0)
