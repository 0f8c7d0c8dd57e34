"""The embedded Toxiproxy and everything that can reach its port: pages, strangers, broken clients.

Each attack has a server of its own. Whatever is done to it, another client is answered meanwhile,
its memory stays bounded, and it ends by itself within two seconds of SIGTERM (`serving` asserts
that for every attack).
"""

import json
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from tests.attacks.place import Place
from tests.attacks.registry import attack
from tests.support.toxiproxy_raw import Server, answers_in, patience, read_all, serving

# Generous: other attacks run beside this one. What is broken waits for seconds, or for ever.
ANSWERED_WITHIN_S = 1.5
MORE_MEMORY_MB = 60.0
TOKEN = "0123456789abcdef0123456789abcdef"
VERSION = b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n"
LISTEN = "127.0.0.1:0"

FOREIGN_HOSTS = {
    "another-name": "evil.com",
    "with-its-port": "evil.com:8474",
    "begins-as-loopback": "127.0.0.1.evil.com:8474",
    "begins-as-localhost": "localhost.evil.com",
    "user-localhost": "localhost@evil.com",
    "user-evil": "evil.com@localhost",
    "two-in-one": "localhost, evil.com",
    "a-space": "localhost evil.com",
    "a-path": "localhost/evil.com",
    "the-private-network": "192.168.0.10:8474",
    "every-address": "0.0.0.0:8474",
    "a-number": "2130706433",
    "a-short-form": "127.1",
    "octal": "0177.0.0.1",
    "unbracketed": "::1",
    "half-a-bracket": "[::1",
    "link-local": "[fe80::1]:8474",
    "not-a-port": "localhost:http",
    "a-dot": ".localhost",
    "latin-1": "localh\u00f6st",
}


@attack("toxiproxy", FOREIGN_HOSTS)
def a_page_whose_name_leads_here(place: Place, host: str) -> None:
    with serving(place.folder) as server:
        refused_everywhere(server, {"host": host}, 403)


def refused_everywhere(server: Server, headers: dict[str, str], status: int) -> None:
    """Reading and changing are both refused with a reason, and nothing has changed."""
    server.proxy("p", "127.0.0.1:1")
    before = server.proxies()
    body = b'{"name":"q","upstream":"127.0.0.1:1"}'
    for method, path in (("GET", "/proxies"), ("POST", "/proxies"), ("POST", "/reset")):
        answer = server.ask(method, path, body, headers)
        assert answer.status == status, (method, path, answer)
        assert json.loads(answer.body)["status"] == status
    assert server.proxies() == before


@attack("toxiproxy")
def two_hosts(place: Place) -> None:
    with serving(place.folder) as server:
        for first, second in (("localhost", "evil.com"), ("evil.com", "localhost")):
            said = f"GET /proxies HTTP/1.1\r\nHost: {first}\r\nHost: {second}\r\n\r\n"
            assert [each.status for each in server.say(said.encode())] == [403]


FOREIGN_ORIGINS = {
    "null": "null",
    "empty": "",
    "another": "http://evil.com",
    "secure": "https://evil.com:443",
    "begins-as-loopback": "http://127.0.0.1.evil.com",
    "user": "http://localhost@evil.com",
    "two": "http://localhost, http://evil.com",
    "a-file": "file://",
    "a-file-here": "file://localhost",
    "an-extension": "chrome-extension://localhost",
    "a-path": "http://localhost/../evil.com",
    "a-fragment": "http://evil.com#http://localhost",
    "no-scheme": "localhost",
    "every-address": "http://0.0.0.0:8474",
    "a-tab": "http://localhost\tevil",
}


@attack("toxiproxy", FOREIGN_ORIGINS)
def a_page_of_another_origin(place: Place, origin: str) -> None:
    with serving(place.folder) as server:
        refused_everywhere(server, {"origin": origin}, 403)


@attack(
    "toxiproxy", {"here": "http://localhost:8474", "another": "http://evil.com", "null": "null"}
)
def a_page_while_bound_elsewhere(place: Place, origin: str) -> None:
    with serving(place.folder, host="0.0.0.0") as server:
        assert server.ask("GET", "/version", headers={"host": "any.test"}).status == 200
        refused_everywhere(server, {"origin": origin}, 403)


@contextmanager
def guarded(place: Place, *options: str) -> Iterator[Server]:
    """A server that asks for a token."""
    file = place.write("token", TOKEN)
    file.chmod(0o600)
    with serving(place.folder, "--token-file", str(file), *options) as server:
        yield server


WRONG_TOKENS = {
    "none": {},
    "empty": {"authorization": ""},
    "no-token": {"authorization": "Bearer "},
    "cut": {"authorization": f"Bearer {TOKEN[:-1]}"},
    "longer": {"authorization": f"Bearer {TOKEN}0"},
    "repeated": {"authorization": f"Bearer {TOKEN} {TOKEN}"},
    "basic": {"authorization": f"Basic {TOKEN}"},
    "bare": {"authorization": TOKEN},
    "listed": {"authorization": f"Bearer x, Bearer {TOKEN}"},
    "huge": {"authorization": "Bearer " + "0" * 50_000},
    "latin-1": {"authorization": "Bearer \u00e9\u00e9\u00e9"},
    "another-header": {"x-token": TOKEN, "cookie": f"token={TOKEN}"},
    "capitals": {"authorization": f"Bearer {TOKEN.upper()}"},
}


@attack("toxiproxy", WRONG_TOKENS)
def a_change_without_the_token(place: Place, headers: dict[str, str]) -> None:
    config = json.dumps([{"name": "p", "listen": LISTEN, "upstream": "127.0.0.1:1"}])
    with guarded(place, "--config", str(place.write("proxies.json", config))) as server:
        before = server.proxies()
        for method, path in (
            ("POST", "/reset"),
            ("DELETE", "/proxies/p"),
            ("PATCH", "/proxies/p"),
            ("POST", f"/proxies?token={TOKEN}"),
            ("POST", "/populate"),
            ("POST", "/proxies/p/toxics"),
            ("DELETE", "/proxies/p/toxics/none"),
        ):
            assert server.ask(method, path, b"{}", headers).status == 401, (method, path)
        assert server.proxies() == before
        assert TOKEN not in server.log.read_text()


TOKEN_FILES = {
    "readable-by-others": ("text", 0o644),
    "empty": ("", 0o600),
    "short": ("abc", 0o600),
    "two-lines": (f"{TOKEN}\n{TOKEN}", 0o600),
    "zeros": ("\0" * 64, 0o600),
    "huge": ("0" * 1_000_000, 0o600),
    "a-fifo": (None, 0o600),
}


@attack("toxiproxy", TOKEN_FILES)
def a_token_file_that_is_none(place: Place, case: tuple[str | None, int]) -> None:
    text, mode = case
    path = place.folder / "token"
    if text is None:
        os.mkfifo(path)
    else:
        path.write_text(text)
    path.chmod(mode)
    place.gameday("toxiproxy", "--port", "0", "--token-file", path).is_refused(str(path))


CONFIGS = {
    "huge-number": b"[" + b"1" * 5000 + b"]",
    "nested": b"[" * 100_000,
    "bom-and-a-mistake": b"\xef\xbb\xbf[{}]",
    "only-a-bom": b"\xef\xbb\xbf",
    "utf-16": "[]".encode("utf-16"),
    "a-surrogate": b'[{"name": "\\ud800", "upstream": 5}]',
    "infinite": b"[1e999]",
}


@attack("toxiproxy", CONFIGS)
def a_file_of_proxies_that_is_none(place: Place, content: bytes) -> None:
    path = place.write("proxies.json", content)
    place.gameday("toxiproxy", "--port", "0", "--config", path).is_refused("proxies.json")


@attack("toxiproxy")
def a_byte_order_mark(place: Place) -> None:
    entry = {"name": "p", "listen": LISTEN, "upstream": "127.0.0.1:1"}
    path = place.write("proxies.json", b"\xef\xbb\xbf" + json.dumps([entry]).encode())
    with serving(place.folder, "--config", str(path)) as server:
        assert list(server.proxies()) == ["p"]


# What one client sends for as long as it is let, and never reads an answer to.
FLOODS = {
    "pipelined": VERSION * 500,
    "pipelined-lists": b"GET /proxies HTTP/1.1\r\n\r\n" * 1000,
    "pipelined-changes": b"POST /reset HTTP/1.1\r\nContent-Length: 0\r\n\r\n" * 1000,
    "pipelined-nowhere": b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 1000,
    "pipelined-errors": b"POST /proxies HTTP/1.1\r\nContent-Length: 1\r\n\r\n{" * 1000,
    "empty-lines": b"\r\n" * 30_000,
    "expectations": b"POST /reset HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n0"
    * 1000,
    "zeros": b"\0" * 65536,
    "a-tls-hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 60_000,
}


@attack("toxiproxy", FLOODS)
def a_client_that_never_reads(place: Place, raw: bytes) -> None:
    with serving(place.folder) as server:
        server.proxy("p", "127.0.0.1:1")
        others_are_answered(server, lambda: flood(server, raw, 1.5))


def others_are_answered(server: Server, misbehave: Callable[[], object]) -> None:
    """While one client misbehaves, another is answered, and memory stays bounded."""
    before_mb = server.memory_mb()
    raised: list[BaseException] = []

    def tell() -> None:
        try:
            misbehave()
        except BaseException as error:  # noqa: BLE001 - it is raised again below
            raised.append(error)

    thread = threading.Thread(target=tell)
    thread.start()
    try:
        slowest_s = 0.0
        while thread.is_alive():
            slowest_s = max(slowest_s, server.slowest_s(3))
            more_mb = server.memory_mb() - before_mb
            assert more_mb < MORE_MEMORY_MB, f"{more_mb:.0f} MB more"
    finally:
        thread.join()
    for error in raised:
        raise error
    slowest_s = max(slowest_s, server.slowest_s(5))
    assert slowest_s < patience(ANSWERED_WITHIN_S), f"another client waited {slowest_s:.1f} s"


def flood(server: Server, raw: bytes, for_s: float) -> None:
    """Send `raw` over and over and read nothing."""
    with server.connect() as sock:
        sock.settimeout(0.1)
        until_s = time.monotonic() + for_s
        while time.monotonic() < until_s:
            with suppress(TimeoutError):
                try:
                    sock.sendall(raw)
                except OSError as error:
                    if isinstance(error, TimeoutError):
                        raise
                    return


# How a request without an end begins, and what follows for as long as it is let.
ENDLESS = {
    "url": (b"GET /", b"a" * 65536),
    "method": (b"G", b"G" * 65536),
    "header-value": (b"GET / HTTP/1.1\r\nX: ", b"a" * 65536),
    "header-name": (b"GET / HTTP/1.1\r\n", b"a" * 65536),
    "headers": (b"GET / HTTP/1.1\r\n", b"a: b\r\n" * 10_000),
    "host": (b"GET / HTTP/1.1\r\nHost: ", b"localhost" * 7000),
    "hosts": (b"GET / HTTP/1.1\r\n", b"Host: localhost\r\n" * 4000),
    "spaces": (b"GET / HTTP/1.1\r\nX:", b" " * 65536),
    "body": (b"POST /reset HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"x" * 65536),
    "chunks": (
        b"POST /reset HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1000\r\n" + b"x" * 4096 + b"\r\n",
    ),
    "small-chunks": (
        b"POST /reset HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1\r\nx\r\n" * 10_000,
    ),
    "one-chunk": (
        b"POST /reset HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
        b"x" * 65536,
    ),
    "chunk-extension": (
        b"POST /reset HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;a=",
        b"b" * 65536,
    ),
    "trailers": (
        b"POST /reset HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        b"a: b\r\n" * 10_000,
    ),
    "trailer": (
        b"POST /reset HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx: ",
        b"a" * 65536,
    ),
}


@attack("toxiproxy", ENDLESS)
def a_request_without_an_end(place: Place, case: tuple[bytes, bytes]) -> None:
    begin, more = case
    with serving(place.folder) as server:
        others_are_answered(server, lambda: endless(server, begin, more))


def endless(server: Server, begin: bytes, more: bytes) -> None:
    """Send until it is refused, which must come while little has been taken."""
    with server.connect() as sock:
        sock.sendall(begin)
        sent = 0
        try:
            while sent < 100_000_000:
                sent += sock.send(more)
        except OSError:
            return
    raise AssertionError("100 MB of one request were taken")


REFUSED = {
    "long-url": (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 431),
    "long-header": (b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", 431),
    "large-body": (
        b"POST /reset HTTP/1.1\r\nContent-Length: 1100000\r\n\r\n" + b" " * 1_100_000,
        413,
    ),
    "two-lengths": (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    "smuggled": (
        b"POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "negative-length": (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
    "endless-length": (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n", 400),
    "http-2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "a-zero": (b"GET / HTTP/1.1\r\nHost: local\0host\r\n\r\n", 400),
    "bad-chunk": (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    "no-method": (b" / HTTP/1.1\r\n\r\n", 400),
}


@attack("toxiproxy", REFUSED)
def a_request_that_is_none(place: Place, case: tuple[bytes, int]) -> None:
    raw, status = case
    with serving(place.folder) as server:
        answers = server.say(VERSION + raw + VERSION)
        assert [each.status for each in answers] == [200, status], answers
        assert server.slowest_s(2) < patience(ANSWERED_WITHIN_S)


BODIES = {
    "brackets": b"[" * 1_000_000,
    "braces": b'{"a":' * 200_000,
    "many-entries": b"[" + b"{}," * 340_000 + b"{}]",
    "many-proxies": b"[" + b'{"name":"a","upstream":"b:1"},' * 30_000 + b"{}]",
    "digits": b"9" * 1_000_000,
    "a-huge-number": b'{"name":"a","upstream":"b:1","enabled":1e999}',
    "not-a-number": b'{"name":"a","upstream":"b:1","toxicity":NaN}',
    "a-surrogate": b'{"name":"\\ud800","upstream":"b:1","listen":"\\udfff"}',
    "zeros": b"\0" * 1_000_000,
    "not-utf8": b'{"name":"\xff\xfe","upstream":"b:1","listen":"127.0.0.1:0"}',
    "a-zero-in-a-host": b'{"name":"a","upstream":"b:1","listen":"a\\u0000b:1"}',
    "a-long-host": b'{"name":"a","upstream":"b:1","listen":"' + b"a" * 500_000 + b':1"}',
    "a-port-of-digits": b'{"name":"a","upstream":"b:1","listen":"a:' + b"9" * 5000 + b'"}',
    "a-line-break": b'{"name":"a\\r\\nX: y","upstream":"b:1","listen":"127.0.0.1:0"}',
    "one-string": b'"' + b"\\u0000" * 170_000 + b'"',
}


@attack("toxiproxy", BODIES)
def a_body_that_is_none(place: Place, body: bytes) -> None:
    with serving(place.folder) as server:

        def send() -> None:
            for path in ("/proxies", "/populate"):
                answer = server.ask("POST", path, body)
                assert answer.status in (201, 400, 409, 500), answer
                assert b"Internal Server Error" not in answer.body

        others_are_answered(server, send)
        json.loads(server.ask("GET", "/proxies").body)


TOXICS = {
    "toxicity": {"type": "latency", "toxicity": 1e300},
    "largest-toxicity": {"type": "latency", "toxicity": 3.4028235e38},
    "a-surrogate": {"type": "noop", "name": "\ud800"},
    "a-long-name": {"type": "noop", "name": "a" * 900_000},
    "latency": {"type": "latency", "attributes": {"latency": 2**63 - 1, "jitter": 2**61}},
    "backwards": {"type": "latency", "attributes": {"latency": -(2**63)}},
    "bandwidth": {"type": "bandwidth", "attributes": {"rate": 2**63 - 1}},
    "slices": {"type": "slicer", "attributes": {"average_size": 1, "size_variation": 2**63 - 1}},
    "slow-slices": {"type": "slicer", "attributes": {"average_size": 1, "delay": 2**63 - 1}},
    "slow-close": {"type": "slow_close", "attributes": {"delay": 2**63 - 1}},
    "timeout": {"type": "timeout", "attributes": {"timeout": 2**63 - 1}},
    "reset": {"type": "reset_peer", "attributes": {"timeout": 2**63 - 1}},
}


@attack("toxiproxy", TOXICS)
def a_toxic_of_extremes(place: Place, toxic: dict[str, object]) -> None:
    with serving(place.folder) as server, upstream() as target:
        port = server.proxy("p", target)
        with socket.create_connection(("127.0.0.1", port), 5) as client:
            body = json.dumps(toxic).encode()
            assert server.ask("POST", "/proxies/p/toxics", body).status in (200, 400)
            client.sendall(b"x" * 100)
            assert server.slowest_s(3) < patience(ANSWERED_WITHIN_S)
            json.loads(server.ask("GET", "/proxies").body)


@contextmanager
def upstream(reply: bytes = b"") -> Iterator[str]:
    """An address that takes connections, sends each `reply` without an end, and never reads."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        ended = threading.Event()
        kept: list[socket.socket] = []

        def serve() -> None:
            listener.settimeout(0.1)
            while not ended.is_set():
                with suppress(TimeoutError):
                    kept.append(listener.accept()[0])
                    if reply:
                        threading.Thread(target=send, args=(kept[-1],), daemon=True).start()

        def send(peer: socket.socket) -> None:
            with suppress(OSError):
                while not ended.is_set():
                    peer.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ended.set()
            thread.join()
            for peer in kept:
                peer.close()


def idle(server: Server, number: int, raw: bytes) -> list[socket.socket]:
    """Connections that have sent `raw` and send nothing more."""
    found = []
    for _ in range(number):
        sock = server.connect()
        with suppress(OSError):  # it may already have made room for the next
            sock.sendall(raw)
        found.append(sock)
    return found


IDLE = {
    "silent": b"",
    "half-a-line": b"GET /ver",
    "half-a-head": b"GET /version HTTP/1.1\r\nX: y\r\n",
    "half-a-body": b"POST /proxies HTTP/1.1\r\nContent-Length: 100\r\n\r\n{",
    "served": VERSION,
    "an-expectation": b"POST /reset HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
}


@attack("toxiproxy", IDLE)
def two_thousand_connections(place: Place, raw: bytes) -> None:
    with serving(place.folder) as server, ExitStack() as stack:
        for sock in idle(server, 2000, raw):
            stack.enter_context(sock)
        assert server.slowest_s(5) < patience(ANSWERED_WITHIN_S)
        assert server.memory_mb() < 150


@attack("toxiproxy", {"5000": 5000}, slow=True, longest_s=120)
def connections_without_an_end(place: Place, connections: int) -> None:
    with serving(place.folder) as server:
        kept: list[socket.socket] = []
        for number in range(connections):
            kept.append(server.connect())
            if len(kept) > 2500:
                for sock in kept[:1500]:
                    sock.close()
                del kept[:1500]
            if number % 1000 == 0:
                assert server.slowest_s(2) < patience(ANSWERED_WITHIN_S)
        assert server.memory_mb() < 150
        for sock in kept:
            sock.close()


@attack("toxiproxy", slow=True, longest_s=90)
def headers_a_byte_at_a_time(place: Place) -> None:
    with serving(place.folder) as server, server.connect() as sock:
        sock.sendall(b"GET /version HTTP/1.1\r\n")
        begun_s = time.monotonic()
        with suppress(OSError):
            while time.monotonic() - begun_s < 40:
                sock.sendall(b"X: y\r\n")
                time.sleep(0.2)
        assert 10 < time.monotonic() - begun_s < 25
        assert server.slowest_s(3) < patience(ANSWERED_WITHIN_S)


@attack("toxiproxy", slow=True, longest_s=90)
def a_client_that_never_reads_is_gone_in_the_end(place: Place) -> None:
    with serving(place.folder) as server:
        before = server.files()
        with server.connect() as sock:
            sock.settimeout(0.2)
            with suppress(OSError):
                while True:
                    sock.sendall(VERSION * 500)
            assert server.files() == before + 1
            until_s = time.monotonic() + 45  # the server's own limit is 30 s
            while server.files() > before:
                assert time.monotonic() < until_s, "it is still there"
                time.sleep(0.5)


@attack("toxiproxy")
def a_storm_of_connections(place: Place) -> None:
    with serving(place.folder) as server:

        def storm() -> None:
            until_s = time.monotonic() + 1.0
            while time.monotonic() < until_s:
                with suppress(OSError):
                    server.connect().close()

        others_are_answered(server, storm)


@attack("toxiproxy")
def a_storm_of_resets(place: Place) -> None:
    with serving(place.folder) as server:

        def storm() -> None:
            until_s = time.monotonic() + 1.0
            while time.monotonic() < until_s:
                with suppress(OSError), server.connect() as sock:
                    linger = struct.pack("ii", 1, 0)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    sock.sendall(VERSION * 10)

        others_are_answered(server, storm)


@attack("toxiproxy", {"a-few": 3, "a-packet": 1000, "more": 20_000})
def many_requests_in_one_go(place: Place, number: int) -> None:
    with serving(place.folder) as server, server.connect() as sock:

        def ask() -> None:
            sock.sendall(b"GET /version HTTP/1.1\r\n\r\n" * number)
            sock.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=ask)
        sender.start()
        answers = answers_in(read_all(sock))
        sender.join()
        assert [each.status for each in answers] == [200] * number


HALVES = {
    "after-a-request": (VERSION, [200]),
    "after-two": (VERSION * 2, [200, 200]),
    "in-a-line": (b"GET /ver", []),
    "in-a-body": (b"POST /reset HTTP/1.1\r\nContent-Length: 5\r\n\r\nab", []),
    "at-once": (b"", []),
    "after-an-error": (b"?\r\n\r\n", [400]),
    "http-1.0": (b"GET /version HTTP/1.0\r\n\r\n", [200]),
    "a-connect": (b"CONNECT evil.com:443 HTTP/1.1\r\n\r\n" + VERSION, [301, 200]),
    "an-upgrade": (
        b"GET /version HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n" + VERSION,
        [200, 200],
    ),
}


@attack("toxiproxy", HALVES)
def a_client_that_half_closes(place: Place, case: tuple[bytes, list[int]]) -> None:
    raw, statuses = case
    with serving(place.folder) as server:
        assert [each.status for each in server.say(raw)] == statuses
        assert server.slowest_s(2) < patience(ANSWERED_WITHIN_S)


LATE = {"type": "latency", "attributes": {"latency": 50}}
HELD_LATE_MB = {1: 2 * 34.0, 40: 272.0}
"""What may be held with one reader more: Toxiproxy's 1,027 chunks of 32 KB for each; of all
together 256 MiB, and 64 KiB of each beyond."""


@attack("toxiproxy", {"plain": ({}, 1), "late": (LATE, 1), "late-and-many": (LATE, 40)})
def a_reader_that_never_reads(place: Place, case: tuple[dict[str, object], int]) -> None:
    toxic, readers = case
    with serving(place.folder) as server, upstream(b"x" * 65536) as target, ExitStack() as stack:
        port = server.proxy("p", target)
        if toxic:
            assert server.ask("POST", "/proxies/p/toxics", json.dumps(toxic).encode()).status == 200
        before_mb = server.memory_mb()
        for _ in range(readers):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
        until_s = time.monotonic() + 1.0
        while time.monotonic() < until_s:
            assert server.slowest_s(3) < patience(ANSWERED_WITHIN_S)
        with socket.create_connection(("127.0.0.1", port), 5) as other:
            assert other.recv(10) == b"x" * 10
        more_mb = server.memory_mb() - before_mb
        at_most_mb = (HELD_LATE_MB[readers] if toxic else 0) + 20
        assert more_mb < at_most_mb, f"{more_mb:.0f} MB more, at most {at_most_mb:.0f}"


@attack("toxiproxy")
def more_connections_than_a_proxy_takes(place: Place) -> None:
    with serving(place.folder, "--connections-max", "10") as server, upstream() as target:
        port = server.proxy("p", target)
        with ExitStack() as stack:
            for _ in range(1000):
                stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
            assert server.slowest_s(3) < patience(ANSWERED_WITHIN_S)
        assert server.log.stat().st_size < 5000


STUCK = {
    "bandwidth": {"type": "bandwidth", "attributes": {"rate": 0}},
    "latency": {"type": "latency", "attributes": {"latency": 3_600_000}},
    "timeout": {"type": "timeout", "attributes": {"timeout": 0}},
    "slow-close": {"type": "slow_close", "attributes": {"delay": 3_600_000}},
    "reset-peer": {"type": "reset_peer", "attributes": {"timeout": 3_600_000}},
    "slicer": {"type": "slicer", "attributes": {"average_size": 1, "delay": 9_000_000}},
}


@attack("toxiproxy", STUCK)
def a_stuck_toxic_at_its_end(place: Place, toxic: dict[str, object]) -> None:
    with serving(place.folder) as server, upstream(b"x" * 4096) as target:
        port = server.proxy("p", target)
        assert server.ask("POST", "/proxies/p/toxics", json.dumps(toxic).encode()).status == 200
        with ExitStack() as stack:
            for _ in range(20):
                sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
                sock.sendall(b"y" * 1000)
            assert server.slowest_s(2) < patience(ANSWERED_WITHIN_S)
            server.end()


def unread(server: Server) -> list[socket.socket]:
    thread = threading.Thread(target=lambda: flood(server, VERSION * 500, 0.5))
    thread.start()
    time.sleep(0.2)
    return []


ENDINGS: dict[str, Callable[[Server], list[socket.socket]]] = {
    "silent-clients": lambda server: idle(server, 300, b""),
    "half-heads": lambda server: idle(server, 300, b"GET / HTTP/1.1\r\nX:"),
    "half-bodies": lambda server: idle(server, 300, IDLE["half-a-body"]),
    "a-backlog": unread,
    "backlogs": lambda server: idle(server, 50, VERSION * 2000),
    "refused": lambda server: idle(server, 50, b"?\r\n\r\n"),
    "a-name-nobody-knows": lambda server: idle(
        server,
        8,
        b"POST /proxies HTTP/1.1\r\nContent-Length: 60\r\n\r\n"
        + json.dumps({"name": "p", "upstream": "u:1", "listen": "slow.invalid:1"})
        .encode()
        .ljust(60),
    ),
}


@attack("toxiproxy", ENDINGS)
def clients_at_its_end(place: Place, misbehave: Callable[[Server], list[socket.socket]]) -> None:
    with serving(place.folder) as server, ExitStack() as stack:
        for sock in misbehave(server):
            stack.enter_context(sock)
        server.end()


@attack("toxiproxy", {"interrupt": signal.SIGINT, "terminate": signal.SIGTERM})
def a_signal_again_and_again(place: Place, number: signal.Signals) -> None:
    with serving(place.folder) as server, ExitStack() as stack:
        for sock in idle(server, 100, b"GET /"):
            stack.enter_context(sock)
        for _ in range(20):
            server.process.send_signal(number)
        server.end(number)


@attack("toxiproxy")
def an_upstream_that_never_answers_at_its_end(place: Place) -> None:
    with serving(place.folder) as server, ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        while True:
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0.2)
            try:
                filler.connect(listener.getsockname())
            except TimeoutError:
                break
        port = server.proxy("p", f"127.0.0.1:{listener.getsockname()[1]}")
        for _ in range(20):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
        assert server.slowest_s(2) < patience(ANSWERED_WITHIN_S)
        server.end()
