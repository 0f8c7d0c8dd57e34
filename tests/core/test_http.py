"""The client: a whole answer within its time and its size, or an error that says what happened."""

import ast
import gzip
import time
import zlib
from pathlib import Path

import pytest

import gameday
from gameday.core.network.http import Ask, HttpClient, HttpError, ask_once
from tests.attacks.server import (
    Peer,
    Script,
    Server,
    answer,
    floods,
    resets,
    says,
    sends,
    stalls,
    trickles,
)

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
MOST = 200_000
WITHIN_S = 1.0
BOMB = gzip.compress(bytes(50_000_000))

BROKEN: dict[str, tuple[Script, str, str]] = {
    "nothing": (stalls(), "late", "no whole answer within 1 s"),
    "closed": (sends(), "broken", "no HTTP answer"),
    "reset": (resets(), "broken", "no HTTP answer"),
    "no-http": (sends(b"SSH-2.0-OpenSSH\r\n"), "broken", "no HTTP answer"),
    "half-a-head": (stalls(HEAD), "late", "no whole answer within 1 s"),
    "no-body": (stalls(HEAD + b"Content-Length: 9\r\n\r\n"), "late", r"\(after status 200\)"),
    "a-cut-body": (sends(HEAD + b"Content-Length: 9\r\n\r\nabc"), "broken", "after status 200"),
    "a-reset-body": (resets(HEAD + b"Content-Length: 9\r\n\r\nab"), "broken", "after status 200"),
    "a-byte-a-while": (trickles(HEAD + b"Content-Length: 900\r\n\r\n", bytes(900)), "late", "200"),
    "a-trickled-head": (trickles(b"", HEAD + b"A: b\r\n" * 900, 0.01), "late", "within 1 s"),
    "an-endless-head": (floods(HEAD, b"A: b\r\n"), "broken", "no HTTP answer"),
    "an-endless-line": (floods(HEAD + b"A: ", b"a" * 9_000), "broken", "no HTTP answer"),
    "interim-answers": (floods(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "late", "within 1 s"),
    "endless-chunks": (floods(CHUNKED, b"200\r\n%s\r\n" % bytes(512)), "large", "more than 0.2 MB"),
    "endless-chunk-size": (floods(CHUNKED, b"0" * 999), "broken", "after status 200"),
    "endless-extension": (floods(CHUNKED + b"5;", b"a" * 999), "broken", "after status 200"),
    "tiny-chunks": (floods(CHUNKED, b"1\r\na\r\n" * 9_999), "late", "after status 200"),
    "a-bad-chunk": (sends(CHUNKED + b"xyz\r\n"), "broken", "after status 200"),
    "endless-trailers": (floods(CHUNKED + b"0\r\n", b"A: b\r\n"), "broken", "after status 200"),
    "until-closed": (floods(HEAD + b"\r\n", b"a" * 9_000), "large", "more than 0.2 MB"),
    "announced": (stalls(HEAD + b"Content-Length: 999999999\r\n\r\n"), "large", "0.2 MB"),
    "no-number": (sends(HEAD + b"Content-Length: x\r\n\r\n"), "broken", "no HTTP answer"),
    "long-number": (sends(HEAD + b"Content-Length: %s\r\n\r\n" % (b"9" * 5_000)), "broken", "HTTP"),
    "two-lengths": (
        sends(HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        "broken",
        "no HTTP answer",
    ),
    "a-bomb": (says(BOMB, 200, "Content-Encoding: gzip"), "large", "more than 0.2 MB"),
    "no-gzip": (says(b"abc", 200, "Content-Encoding: gzip"), "broken", "cannot be read"),
    "half-a-gzip": (says(BOMB[:500], 200, "Content-Encoding: gzip"), "large", "0.2 MB"),
    "a-cut-gzip": (
        says(gzip.compress(b"abc")[:-9], 200, "Content-Encoding: gzip"),
        "broken",
        "cannot be read",
    ),
    "brotli": (says(b"abc", 200, "Content-Encoding: br"), "broken", "not asked for"),
    "layers": (says(b"abc", 200, "Content-Encoding: gzip, gzip"), "broken", "not asked for"),
}


@pytest.mark.parametrize("case", BROKEN.values(), ids=BROKEN.keys())
async def test_what_is_no_whole_answer_is_told_in_time(case: tuple[Script, str, str]) -> None:
    script, kind, words = case
    with Server({"/": script}) as server:
        begun_s = time.monotonic()
        with pytest.raises(HttpError, match=words) as caught:
            await ask_once(Ask("GET", server.url), WITHIN_S, verify=False, most_bytes=MOST)
        assert caught.value.kind == kind
        assert time.monotonic() - begun_s < WITHIN_S + 5


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b"abc" * 9_999)),
        ("gzip", gzip.compress(b"abc" * 9_000) + gzip.compress(b"abc" * 999)),
        ("deflate", zlib.compress(b"abc" * 9_999)),
        ("deflate", zlib.compress(b"abc" * 9_999)[2:-4]),
        ("identity", b"abc" * 9_999),
    ],
    ids=["gzip", "two-gzips", "zlib", "deflate", "identity"],
)
async def test_a_compressed_answer_is_read_though_none_was_asked_for(
    encoding: str, body: bytes
) -> None:
    with Server({"/": says(body, 200, f"Content-Encoding: {encoding}")}) as server:
        got = await ask_once(Ask("GET", server.url), 5, verify=False, most_bytes=MOST)
    assert got.body == b"abc" * 9_999


async def test_nobody_listens_is_told_apart() -> None:
    with Server({}) as server:
        url = server.url
    for away, kind in [(url, "refused"), ("http://no-such-host.invalid", "unreachable")]:
        with pytest.raises(HttpError) as caught:
            await ask_once(Ask("GET", away), 5, verify=False)
        assert caught.value.kind == kind
    for odd in ("http://[::1", "ftp://x", "http://", "http://a b/"):
        with pytest.raises(HttpError) as caught:
            await ask_once(Ask("GET", odd), 5, verify=False)
        assert caught.value.kind == "unreachable"


async def test_a_connection_stays_and_no_redirect_is_followed_and_no_cookie_kept() -> None:
    clients = []

    def script(peer: Peer) -> bool:
        clients.append(peer.sock.getpeername())
        peer.send(answer("gone", 302, "Location: /elsewhere", "Set-Cookie: a=b"))
        return True

    with Server({"": script}) as server:
        async with HttpClient(5, verify=False) as client:
            for _ in range(3):
                got = await client.get(server.url + "/x")
                assert (got.status, got.text) == (302, "gone")
        assert len(set(clients)) == 1
        assert all(b"cookie" not in head.lower() for _, _, head, _ in server.asked)
        assert [path for _, path, _, _ in server.asked] == ["/x"] * 3


async def test_a_body_and_a_query_are_sent_and_the_answer_is_read_as_json() -> None:
    with Server({"/": says('{"a": 1}')}) as server:
        ask = Ask("POST", server.url, {"X-A": "b"}, {"q": "ä b"}, {"body": 1})
        got = await ask_once(ask, 5, verify=False)
        assert got.json() == {"a": 1}
        method, path, head, body = server.asked[0]
    assert (method, path, body) == ("POST", "/?q=%C3%A4+b", b'{"body":1}')
    assert b"x-a: b" in head.lower()


async def test_pieces_are_taken_as_they_come_but_of_a_good_answer_only() -> None:
    for status, taken in [(200, b"abc"), (500, b"")]:
        pieces = bytearray()
        with Server({"/": says("abc", status)}) as server:
            async with HttpClient(5, verify=False) as client:
                got = await client.ask(Ask("GET", server.url), pieces.extend)
        assert (bytes(pieces), got.body) == (taken, b"" if taken else b"abc")


def test_nobody_else_opens_a_client_of_http() -> None:
    package = Path(gameday.__file__).parent
    home = package / "core" / "network" / "http.py"
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            other = {"httpx", "httpcore", "urllib.request", "http.client", "requests", "aiohttp"}
            assert path == home or not other & set(names), path
