"""The traffic worker, as a child process, against a real server that can misbehave."""

import asyncio
import json
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from pydantic import ValidationError

from gameday.core.errors import UsageError
from gameday.traffic.history import History, Outcome, Reason, read
from gameday.traffic.metrics import complete, generator, summary
from gameday.traffic.schedule.scenario_json import from_json
from gameday.traffic.schedule.users import user, users_of
from gameday.traffic.worker.config import Config
from gameday.traffic.worker.request import RequestBytes

Reply = Callable[[bytes, asyncio.StreamWriter, int], Awaitable[None]]
ISSUED = b'{"issueId":"i-1","remaining":41,"code":"OK"}'
REQUEST = {
    "post": "/api/v1/coupons/issue",
    "json": {"userId": "{user}", "couponCode": "{coupon}"},
    "timeout": "2s",
    "capture": {"issue_id": "issueId", "remaining": "remaining"},
    "outcomes": {
        "issued": {"status": 200},
        "duplicate": {"status": 409, "json": {"code": "DUPLICATE"}},
        "sold_out": {"status": 409, "json": {"error.code": "SOLD_OUT"}},
        "refused": {"status": [400, 429, 503]},
    },
}


def answer(body: bytes = ISSUED, status: int = 200, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class Server:
    """Answers each request as `reply` says; `requests` holds what came."""

    def __init__(self, reply: Reply) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0
        self.reply = reply
        self._writers: set[asyncio.StreamWriter] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                await self.reply(self.requests[-1], writer, len(self.requests))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def hang_up(self) -> None:
        for writer in list(self._writers):
            writer.close()


@asynccontextmanager
async def serving(reply: Reply) -> AsyncIterator[Server]:
    server = Server(reply)
    listening = await asyncio.start_server(server, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        server.hang_up()
        listening.close()
        await listening.wait_closed()


def always(raw: bytes, *, then_close: bool = False) -> Reply:
    async def reply(_request: bytes, writer: asyncio.StreamWriter, _n: int) -> None:
        writer.write(raw)
        if then_close:
            await writer.drain()
            writer.close()

    return reply


class Child:
    """The worker process, its events as they come."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []

    def say(self, order: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")

    async def event(self, name: str) -> dict[str, Any]:
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            while line := await self.process.stdout.readline():
                self.events.append(json.loads(line))
                if self.events[-1]["event"] == name:
                    return self.events[-1]
        raise AssertionError(f"no {name} among {self.events}")

    async def begin(self) -> int:
        """Start the traffic a little from now; t0."""
        await self.event("ready")
        t0_ns = time.monotonic_ns() + 50_000_000
        self.say({"cmd": "start", "t0_ns": t0_ns})
        return t0_ns


def settings(port: int, folder: Path, *scenarios: dict[str, Any]) -> dict[str, Any]:
    return {
        "worker": 0,
        "workers": 1,
        "history_dir": str(folder),
        "seed": 7,
        "run": "run-k3f9",
        "coupon": "C-k3f9",
        "stock": 100,
        "users": 1000,
        "base_url": f"http://127.0.0.1:{port}",
        "request": REQUEST,
        "scenarios": {one["name"]: one for one in scenarios},
    }


@asynccontextmanager
async def child(port: int, folder: Path, *scenarios: dict[str, Any], **more: Any) -> Any:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gameday.traffic.worker",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    one = Child(process)
    one.say(settings(port, folder, *scenarios) | more)
    try:
        yield one
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def drop(rate: str = "50/s", duration: str = "1s") -> dict[str, Any]:
    return {
        "name": "drop",
        "executor": "constant-arrival-rate",
        "rate": rate,
        "duration": duration,
        "startTime": "0s",
    }


async def run(port: int, folder: Path, *scenarios: dict[str, Any], **more: Any) -> History:
    """A whole run of `drop`, to its end; its history."""
    async with child(port, folder, *(scenarios or (drop(),)), **more) as one:
        await one.begin()
        await one.event("idle")
        one.say({"cmd": "stop", "grace_s": 1.0})
        await one.event("done")
        assert await one.process.wait() == 0
    return read(folder / "drop-0.bin")


def counts(history: History) -> dict[str, int]:
    return {o.text: n for o in Outcome if (n := int((history.records["outcome"] == o).sum()))}


def reasons(history: History) -> set[str]:
    return {Reason(reason).text for reason in history.records["reason"]}


async def test_every_start_is_sent_when_due_and_its_answer_recorded(tmp_path: Path) -> None:
    async with serving(always(answer())) as server:
        history = await run(server.port, tmp_path, drop("200/s", "1s"))
    records = history.records
    assert history.dispatched == len(records) == 200
    assert counts(history) == {"issued": 200}
    assert set(records["issue_id"]) == {b"i-1"}
    assert set(records["remaining"]) == {41}
    assert sorted(records["k"]) == list(range(200))
    records = records[np.argsort(records["k"])]
    ks = np.arange(200, dtype=np.int64)
    assert records["user"].tolist() == users_of(7, "drop", ks, 1000).tolist()
    offsets = from_json(drop("200/s", "1s")).due_ns(ks)
    assert (records["intended_ns"] == offsets + history.header.t0_ns).all()
    assert (records["sent_ns"] >= records["intended_ns"]).all()
    assert (records["first_byte_ns"] >= records["sent_ns"]).all()
    assert (records["ended_ns"] >= records["first_byte_ns"]).all()
    assert (records["bytes_received"] == len(answer())).all()
    assert server.connections < 100  # they are kept, even on a machine that stalls
    found = summary([history], {"drop": 200})
    assert found.completed == found.started == 200


async def test_a_request_is_what_the_system_file_says(tmp_path: Path) -> None:
    request = REQUEST | {
        "post": "/c/{coupon}/issue",
        "query": {"u": "{user}", "x y": "a&b"},
        "headers": {"Idempotency-Key": "{key}", "X-Attempt": "{attempt}", "accept": "*/*"},
        "json": {"u": "{user}", "t": "no {user} 100%", "l": ["{user}", {"{user}": "{stock}"}]},
    }
    async with serving(always(answer())) as server:
        await run(server.port, tmp_path, drop("1/s", "1s"), request=request, coupon='a/"b')
    who = user(7, "drop", 0, 1000)
    head, _, body = server.requests[0].decode().partition("\r\n\r\n")
    lines = head.split("\r\n")
    assert lines[0] == f"POST /c/a%2F%22b/issue?u={who}&x%20y=a%26b HTTP/1.1"
    assert "Idempotency-Key: run-k3f9-drop-0" in lines
    assert "X-Attempt: run-k3f9-drop-0-1" in lines
    assert "accept: */*" in lines
    assert "Accept: application/json" not in lines
    assert f"Host: 127.0.0.1:{server.port}" in lines
    assert json.loads(body) == {"u": who, "t": f"no {who} 100%", "l": [who, {str(who): 100}]}


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"10\r\n"
    + ISSUED[:16]
    + b"\r\n%x\r\n" % (len(ISSUED) - 16)
    + ISSUED[16:]
    + b"\r\n0\r\n\r\n"
)
NO_LENGTH = b"HTTP/1.1 200 OK\r\n\r\n" + ISSUED
OLD = b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(ISSUED) + ISSUED


ANSWERS = [
    (answer(), False, "issued", "none"),
    (CHUNKED, False, "issued", "none"),
    (b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + answer(), False, "issued", "none"),
    (answer(ISSUED, 200, "Connection: close"), False, "issued", "none"),
    (OLD, True, "issued", "none"),
    (NO_LENGTH, True, "issued", "none"),
    (b"HTTP/1.1 204 No Content\r\n\r\n", False, "unknown", "unmatched"),
    (answer(b'{"code":"DUPLICATE"}', 409), False, "duplicate", "none"),
    (answer(b'{"error":{"code":"SOLD_OUT"}}', 409), False, "sold_out", "none"),
    (answer(b'{"code":"ELSE"}', 409), False, "unknown", "unmatched"),
    (answer(b"{cut", 409), False, "unknown", "unmatched"),
    (answer(b"", 503), False, "refused", "none"),
    (answer(b"", 500), False, "unknown", "unmatched"),
    (answer(b"", 302, "Location: /x"), False, "unknown", "unmatched"),
    (answer()[:-3], True, "unknown", "reset"),
    (answer()[:20], True, "unknown", "reset"),
    (CHUNKED[:-4], True, "unknown", "reset"),
    (b"", True, "unknown", "reset"),
    (b"\x16\x03\x01 nonsense\r\n\r\n", False, "unknown", "garbage"),
    (
        b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        False,
        "unknown",
        "garbage",
    ),
    (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, False, "unknown", "too-large"),
    (answer() + answer(), False, "issued", "none"),
    (answer() + b"nonsense", False, "issued", "none"),
]


async def test_an_answer_is_understood_or_unknown_with_its_reason(tmp_path: Path) -> None:
    async def kth(request: bytes, writer: asyncio.StreamWriter, _n: int) -> None:
        k = int(request.split(b"Key: run-k3f9-drop-")[1].split(b"\r\n")[0])
        raw, then_close, *_ = ANSWERS[k % len(ANSWERS)]
        await always(raw, then_close=then_close)(request, writer, 0)

    request = REQUEST | {"headers": {"Key": "{key}"}}
    rate = drop("100/s", f"{2 * len(ANSWERS) * 10}ms")
    async with serving(kth) as server:
        history = await run(server.port, tmp_path, rate, request=request)
    assert len(history.records) == 2 * len(ANSWERS)
    for record in history.records:
        raw, _, outcome, reason = ANSWERS[int(record["k"]) % len(ANSWERS)]
        told = Outcome(record["outcome"]).text, Reason(record["reason"]).text
        assert told == (outcome, reason), raw


async def test_a_refused_connection_is_a_refusal_without_latency(tmp_path: Path) -> None:
    async with serving(always(answer())) as server:
        port = server.port
    history = await run(port, tmp_path)
    assert counts(history) == {"refused": 50}
    assert reasons(history) == {"connect-refused"}
    assert (history.records["sent_ns"] == 0).all()
    found = summary([history], {"drop": 50})
    assert found.metrics["http_req_failed"]["rate"] == 1
    assert "http_req_duration" not in found.metrics
    assert generator([history], 200.0).status == "kept"


async def test_a_slow_system_does_not_slow_the_schedule(tmp_path: Path) -> None:
    async def never(_request: bytes, _writer: asyncio.StreamWriter, _n: int) -> None:
        await asyncio.sleep(0)

    request = REQUEST | {"timeout": "400ms"}
    async with serving(never) as server:
        history = await run(server.port, tmp_path, drop("100/s", "1s"), request=request)
    assert counts(history) == {"unknown": 100}
    assert reasons(history) == {"timeout"}
    took_ms = (history.records["ended_ns"] - history.records["sent_ns"]) / 1e6
    assert took_ms.min() >= 399  # the kernel may stamp a sending after its timer began
    assert np.median(took_ms) < 450


async def test_a_connection_the_server_closed_is_replaced_and_not_counted(tmp_path: Path) -> None:
    reply = always(answer(), then_close=True)
    async with serving(reply) as server:
        history = await run(server.port, tmp_path, drop("20/s", "1s"))
    assert counts(history) == {"issued": 20}
    assert server.connections == 20


async def test_idle_connections_are_closed_by_us_after_two_seconds(tmp_path: Path) -> None:
    async with serving(always(answer())) as server:
        history = await run(server.port, tmp_path, drop("24/m", "2600ms"))
        assert counts(history) == {"issued": 2}
        assert server.connections == 2


async def test_a_spike_is_a_scenario_of_its_own_until_it_is_switched_off(tmp_path: Path) -> None:
    async with serving(always(answer())) as server, child(server.port, tmp_path, drop()) as one:
        t0_ns = await one.begin()
        spike = {"name": "traffic.spike-1", "rate_per_s": 200.0, "duration_s": 0.5}
        one.say({"cmd": "on", "scenario": spike, "at_ns": t0_ns + 300_000_000})
        endless = {"name": "more", "rate_per_s": 100.0, "duration_s": None}
        one.say({"cmd": "on", "scenario": endless, "at_ns": t0_ns + 300_000_000})
        await one.event("beat")
        assert "scheduled" not in {event["event"] for event in one.events}
        one.say({"cmd": "off", "name": "more"})
        one.say({"cmd": "off", "name": "none"})
        assert "none" in (await one.event("refused"))["why"]
        await one.event("idle")
        one.say({"cmd": "stop"})
        assert (await one.event("done"))["never_started"] == {
            "drop": 0,
            "traffic.spike-1": 0,
            "more": 0,
        }
    spiked = read(tmp_path / "traffic.spike-1-0.bin")
    assert counts(spiked) == {"issued": 100}
    assert spiked.records["intended_ns"].min() == t0_ns + 300_000_000
    histories = [read(path) for path in tmp_path.glob("*.bin")]
    found = summary(histories, {"drop": 50})
    assert found.scheduled == found.completed == sum(len(h.records) for h in histories)


async def test_kill_9_loses_no_start_that_was_dispatched(tmp_path: Path) -> None:
    async def slowly(_request: bytes, writer: asyncio.StreamWriter, n: int) -> None:
        if n % 2:
            writer.write(answer())

    async with serving(slowly) as server:
        async with child(server.port, tmp_path, drop("500/s", "30s")) as one:
            await one.begin()
            await one.event("beat")
            one.process.kill()
            await one.process.wait()
        arrived = {json.loads(r.partition(b"\r\n\r\n")[2])["userId"] for r in server.requests}
    history = read(tmp_path / "drop-0.bin")
    assert 0 < len(history.records) < history.dispatched
    whole = complete(history)
    assert len(whole) == history.dispatched
    assert arrived <= set(whole["user"].tolist())
    found = summary([history], {"drop": 15_000})
    assert found.interrupted == history.dispatched - len(history.records)
    assert found.scheduled == 15_000


async def test_a_stop_gives_open_requests_their_grace_and_then_interrupts(tmp_path: Path) -> None:
    async def never(_request: bytes, _writer: asyncio.StreamWriter, _n: int) -> None:
        await asyncio.sleep(0)

    async with serving(never) as server, child(server.port, tmp_path, drop("50/s", "30s")) as one:
        await one.begin()
        await one.event("beat")
        one.say({"cmd": "stop", "grace_s": 0.2})
        done = await one.event("done")
        assert await one.process.wait() == 0
    history = read(tmp_path / "drop-0.bin")
    assert counts(history) == {"unknown": history.dispatched}
    assert reasons(history) == {"interrupted"}
    assert (history.records["ended_ns"] == 0).all()
    assert done["never_started"] == {"drop": 1500 - history.dispatched}


async def test_it_ignores_ctrl_c_and_ends_when_its_stdin_closes(tmp_path: Path) -> None:
    async with (
        serving(always(answer())) as server,
        child(server.port, tmp_path, drop("50/s", "30s")) as one,
    ):
        await one.begin()
        await one.event("beat")
        one.process.send_signal(signal.SIGINT)
        await one.event("beat")
        one.process.stdin.close()
        await one.event("done")
        assert await one.process.wait() == 0
    assert len(read(tmp_path / "drop-0.bin").records) > 50


async def test_two_workers_share_one_schedule(tmp_path: Path) -> None:
    async with (
        serving(always(answer())) as server,
        child(server.port, tmp_path, drop("101/s", "1s"), worker=0, workers=2) as first,
        child(server.port, tmp_path, drop("101/s", "1s"), worker=1, workers=2) as second,
    ):
        t0_ns = await first.begin()
        await second.event("ready")
        second.say({"cmd": "start", "t0_ns": t0_ns})
        for one in (first, second):
            await one.event("idle")
            one.say({"cmd": "stop"})
            await one.event("done")
    histories = [read(tmp_path / f"drop-{worker}.bin") for worker in (0, 1)]
    total = from_json(drop("101/s", "1s")).count
    assert summary(histories, {"drop": total}).completed == total
    assert set(histories[1].records["k"] % 2) == {1}


async def test_running_out_of_files_drops_starts_and_limits_the_generator(tmp_path: Path) -> None:
    async def never(_request: bytes, _writer: asyncio.StreamWriter, _n: int) -> None:
        await asyncio.sleep(0)

    request = REQUEST | {"timeout": "1s"}
    async with (
        serving(never) as server,
        child(server.port, tmp_path, drop("100/s", "1s"), request=request) as one,
    ):
        await one.event("ready")
        psutil.Process(one.process.pid).rlimit(psutil.RLIMIT_NOFILE, (40, 40))
        one.say({"cmd": "start", "t0_ns": time.monotonic_ns()})
        await one.event("idle")
        one.say({"cmd": "stop"})
        await one.event("done")
    history = read(tmp_path / "drop-0.bin")
    assert "no-files" in reasons(history)
    assert generator([history], 200.0).status == "limited"
    summary([history], {"drop": 100})


async def test_a_burst_of_our_own_lateness_is_never_blamed_on_the_system(tmp_path: Path) -> None:
    """A worker that was stopped meets the limit of open requests with its own burst."""

    async def never(_request: bytes, _writer: asyncio.StreamWriter, _n: int) -> None:
        await asyncio.sleep(0)

    request = REQUEST | {"timeout": "300ms"}
    async with (
        serving(never) as server,
        child(server.port, tmp_path, drop("300/s", "3s"), request=request) as one,
    ):
        await one.begin()
        await one.event("beat")
        one.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(1.0)
        one.process.send_signal(signal.SIGCONT)
        await one.event("idle")
        one.say({"cmd": "stop"})
        await one.event("done")
    history = read(tmp_path / "drop-0.bin")
    assert "late" in reasons(history)
    assert generator([history], 200.0).status == "limited"
    assert summary([history], {}).scheduled == from_json(drop("300/s", "3s")).count


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"base_url": "http://u:p@127.0.0.1:1"}, "credentials"),
        ({"base_url": "ftp://x"}, "http://"),
        ({"request": REQUEST | {"json": {"a": "{usr}"}}}, "{usr}"),
        ({"request": REQUEST | {"headers": {"X": "a\r\nB: c"}}}, "line end"),
        ({"request": REQUEST | {"headers": {"Content-Length": "3"}}}, "Content-Length"),
        ({"request": REQUEST | {"post": "no path"}}, "path"),
        ({"run": "a b"}, "run"),
        ({"users": 0}, "users"),
    ],
)
def test_what_cannot_be_sent_is_refused(more: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises((UsageError, ValidationError), match=re.escape(says)):
        RequestBytes(Config.model_validate(settings(1, tmp_path, drop()) | more))


async def test_a_bad_configuration_ends_the_worker_before_anything_is_sent(tmp_path: Path) -> None:
    async with child(1, tmp_path, drop(), base_url="ftp://127.0.0.1:1") as one:
        _, stderr = await one.process.communicate()
    assert one.process.returncode == 2
    assert stderr.decode().startswith("error: 'ftp://127.0.0.1:1' is not an http://")
    assert not list(tmp_path.iterdir())


async def test_a_scenario_without_a_schedule_is_refused_before_ready(tmp_path: Path) -> None:
    async with child(1, tmp_path, drop("0/s")) as one:
        _, stderr = await one.process.communicate()
    assert one.process.returncode == 2
    assert "scenarios.drop: Value error, a rate of 0/s" in stderr.decode()


async def test_a_history_that_cannot_be_written_ends_the_worker(tmp_path: Path) -> None:
    async with child(1, tmp_path / "missing", drop()) as one:
        await one.begin()
        _, stderr = await one.process.communicate()
    assert one.process.returncode == 1
    assert "No such file" in stderr.decode()


async def test_1500_starts_a_second_are_sent_without_a_drop(tmp_path: Path) -> None:
    async with serving(always(answer())) as server:
        history = await run(server.port, tmp_path, drop("1500/s", "2s"))
    assert len(history.records) == from_json(drop("1500/s", "2s")).count
    assert "dropped" not in counts(history)
