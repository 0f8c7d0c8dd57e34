"""Traffic over TLS, and answers that no sound server gives; against real servers."""

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from gameday.core.clock import SystemClock
from gameday.injection.drivers.request import RequestError, Sender, undo_record
from gameday.injection.replicas import undo
from gameday.spec.request import Request
from gameday.spec.tls import Tls
from gameday.traffic.history import read
from gameday.traffic.worker.poller import READING, Poller, SelectorPoll
from tests.traffic.test_worker import (
    Server,
    always,
    answer,
    child,
    counts,
    drop,
    reasons,
    run,
    serving,
)

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is not here to make a certificate"
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PEM file with a key and a certificate of its own for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "1", "-subj", "/CN=test", "-keyout", "key.pem"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-out", "cert.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@asynccontextmanager
async def serving_tls(certificate: Path) -> AsyncIterator[tuple[Server, ssl.SSLContext]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    server = Server(always(answer()))
    listening = await asyncio.start_server(server, "127.0.0.1", 0, ssl=context)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server, context
    finally:
        server.hang_up()
        listening.close()
        await listening.wait_closed()


def over_tls(port: int, **tls: Any) -> dict[str, Any]:
    return {"base_url": f"https://127.0.0.1:{port}", "tls": tls}


@needs_openssl
async def test_a_believed_certificate_is_talked_to(certificate: Path, tmp_path: Path) -> None:
    believed = str(certificate / "cert.pem")
    async with serving_tls(certificate) as (server, _):
        more = over_tls(server.port, ca=believed)
        history = await run(server.port, tmp_path, drop("50/s", "1s"), **more)
    assert counts(history) == {"issued": 50}
    records = history.records
    assert ((records["tls_ms"] > 0) == (records["connecting_ms"] > 0)).all()
    assert 1 <= (records["tls_ms"] > 0).sum() < 50
    whole_ms = (records["ended_ns"] - records["sent_ns"]) / 1e6
    spans_ms = records["connecting_ms"] + records["tls_ms"] + records["sending_ms"]
    assert (spans_ms.astype(float) < whole_ms * 1.001).all()


@needs_openssl
async def test_sessions_are_taken_up_again(certificate: Path, tmp_path: Path) -> None:
    closing = answer(b"{}", 200, "Connection: close")
    async with serving_tls(certificate) as (server, context):
        server.reply = always(closing, then_close=True)
        more = over_tls(server.port, ca=str(certificate / "cert.pem"))
        history = await run(server.port, tmp_path, drop("20/s", "1s"), **more)
        assert counts(history) == {"issued": 20}
        assert context.session_stats()["hits"] >= 10


@needs_openssl
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
async def test_anybody_is_believed_only_when_asked_to(
    name: str, certificate: Path, tmp_path: Path
) -> None:
    async with serving_tls(certificate) as (server, _):
        async with child(
            server.port, tmp_path, drop(), base_url=f"https://127.0.0.1:{server.port}"
        ) as one:
            _, stderr = await one.process.communicate()
        assert one.process.returncode == 2
        assert "certificate of '127.0.0.1' is not believed" in stderr.decode()
        assert "tls: {ca: FILE}" in stderr.decode()
        more = over_tls(server.port, insecure=True)
        more["base_url"] = f"https://{name}:{server.port}"
        history = await run(server.port, tmp_path, drop(), **more)
    assert counts(history) == {"issued": 50}


async def test_a_server_that_speaks_no_tls_refuses_every_connection(tmp_path: Path) -> None:
    async def bad_request(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    listening = await asyncio.start_server(bad_request, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        history = await run(port, tmp_path, **over_tls(port, insecure=True))
    assert counts(history) == {"refused": 50}
    assert reasons(history) == {"connect-failed"}
    assert (history.records["sent_ns"] == 0).all()


async def test_a_file_of_authorities_must_be_one(tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("no certificate")
    for name, says in (("none.pem", "No such file"), ("no.pem", "holds no certificate")):
        more = over_tls(1, ca=str(tmp_path / name))
        async with child(1, tmp_path, drop(), **more) as one:
            _, stderr = await one.process.communicate()
        assert one.process.returncode == 2
        assert says in stderr.decode()


FLOODS = {
    "a head without an end": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
    "a header without an end": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000,
    "a body without an end": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"
    + b"z" * 5_000_000,
    "chunks without an end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"1\r\nz\r\n" * 800_000,
    "a trailer without an end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    + b"T: u\r\n" * 800_000,
}


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_is_too_large_and_takes_no_memory(flood: str, tmp_path: Path) -> None:
    reply = always(FLOODS[flood])
    async with serving(reply) as server, child(server.port, tmp_path, drop("4/s", "1s")) as one:
        await one.begin()
        await one.event("idle")
        assert psutil.Process(one.process.pid).memory_info().rss < 200e6
        one.say({"cmd": "stop"})
        await one.event("done")
    assert reasons(read(tmp_path / "drop-0.bin")) == {"too-large"}


async def test_a_server_that_resets_leaves_the_outcome_open(tmp_path: Path) -> None:
    async def reset(_request: bytes, writer: asyncio.StreamWriter, _n: int) -> None:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()

    async with serving(reset) as server:
        history = await run(server.port, tmp_path)
    assert counts(history) == {"unknown": 50}
    assert reasons(history) == {"reset"}
    assert (history.records["sent_ns"] > 0).all()


async def test_answers_without_a_body_are_read_without_waiting(tmp_path: Path) -> None:
    for status in (204, 304):
        raw = b"HTTP/1.1 %d X\r\nServer: s\r\n\r\n" % status
        async with serving(always(raw)) as server:
            history = await run(server.port, tmp_path, drop("50/s", "400ms"))
            assert set(history.records["status"]) == {status}
            assert reasons(history) == {"unmatched"}
            assert server.connections < 15
        (tmp_path / "drop-0.bin").unlink()


async def test_a_known_head_with_another_body_is_not_mistaken(tmp_path: Path) -> None:
    """The same head thousands of times, its body in one piece, in two, or cut."""
    whole = answer()
    head = whole.index(b"\r\n\r\n") + 4

    async def reply(_request: bytes, writer: asyncio.StreamWriter, n: int) -> None:
        pieces = ((whole,), (whole[:head], whole[head:]), (whole[:-5], whole[-5:]))[n % 3]
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.005)

    async with serving(reply) as server:
        history = await run(server.port, tmp_path, drop("100/s", "600ms"))
    assert counts(history) == {"issued": 60}
    assert set(history.records["remaining"]) == {41}


@pytest.mark.parametrize("best", [True, False])
async def test_a_poll_of_any_system_hears_its_sockets(*, best: bool) -> None:
    after: list[int] = []
    clock = SystemClock()
    poller = Poller(lambda: after.append(1), clock.now_ns, None if best else SelectorPoll())
    ours, theirs = socket.socketpair()
    heard: list[bytes] = []
    poller.watch(ours, READING, lambda: heard.append(ours.recv(10)))
    theirs.send(b"hello")
    async with asyncio.timeout(5):
        while not heard:
            await clock.sleep(0.01)
    assert heard == [b"hello"]
    assert after
    poller.forget(ours)
    assert ours.fileno() == -1
    poller.close()
    theirs.close()


@needs_openssl
async def test_audits_and_undoings_believe_whom_the_traffic_believes(certificate: Path) -> None:
    request = Request.model_validate({"post": "/x", "json": {"a": 1}})
    async with serving_tls(certificate) as (server, _):
        url = f"https://127.0.0.1:{server.port}"
        with pytest.raises(RequestError, match="no answer"):
            await Sender(url, {}, {}).send(request)
        sender = Sender(url, {}, {}, tls=Tls(ca=str(certificate / "cert.pem")))
        assert (await sender.send(request)).status == 200
        await undo(undo_record("take-back", request, url, {}, tls=sender.tls))
        assert len(server.requests) == 2
