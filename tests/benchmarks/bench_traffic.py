"""How well the traffic worker keeps its schedule, beside a bare asyncio loop on the same machine.

Run it by hand: `python tests/benchmarks/bench_traffic.py [rate …]`. A tiny raw server runs in a
process of its own; both clients send the same constant rates to it, one after the other. Printed:
what was sent, dropped and late, the CPU per 1,000 requests, and steal, which spoils figures.
"""

import asyncio
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import psutil
import uvloop

from gameday import history

ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 49\r\n\r\n"
    b'{"issueId":"0123456789abcdef0123","remaining":77}'
)
LENGTH_S = 5
MOST_OPEN = 256  # of the bare loop; more would meet the limit of open files


class Server(asyncio.Protocol):
    """Answers every piece of bytes: requests here fit one segment."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(ANSWER)


def serve(port: "multiprocessing.Queue[int]") -> None:
    async def work() -> None:
        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
        port.put(server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()

    uvloop.run(work())


def worker(port: int, rate: int, folder: Path) -> dict[str, Any]:
    """One run of the traffic worker; its figures."""
    config = {
        "worker": 0,
        "workers": 1,
        "history_dir": str(folder),
        "seed": 7,
        "run": "bench",
        "coupon": "COUPON",
        "stock": 1000,
        "users": 100_000,
        "base_url": f"http://127.0.0.1:{port}",
        "request": {
            "post": "/api/v1/coupons/issue",
            "json": {"userId": "{user}", "couponCode": "{coupon}"},
            "timeout": "10s",
            "capture": {"issue_id": "issueId", "remaining": "remaining"},
            "outcomes": {"issued": {"status": 200}},
        },
        "scenarios": [
            {
                "name": "bench",
                "executor": "constant-arrival-rate",
                "rate": f"{rate}/s",
                "duration": f"{LENGTH_S}s",
            }
        ],
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "gameday.traffic"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin is not None
    assert child.stdout is not None

    def say(order: dict[str, Any]) -> None:
        assert child.stdin is not None
        child.stdin.write(json.dumps(order).encode() + b"\n")
        child.stdin.flush()

    say(config)
    child.stdout.readline()
    say({"cmd": "start", "t0_ns": time.monotonic_ns() + 100_000_000})
    cpu_s = 0.0
    for line in child.stdout:
        event = json.loads(line)
        if event["event"] == "beat":
            cpu_s = event["cpu_s"]
        if event["event"] == "idle":
            say({"cmd": "stop", "grace_s": 1.0})
    child.wait()
    child.stdin.close()
    child.stdout.close()
    records = history.read(folder / "bench-0.bin").records
    sent = records[records["sent_ns"] > 0]
    return figures(sent["intended_ns"], sent["sent_ns"], sent["ended_ns"], cpu_s) | {
        "issued": int((records["outcome"] == history.Outcome.ISSUED).sum()),
        "dropped": int((records["outcome"] == history.Outcome.DROPPED).sum()),
    }


def figures(intended: Any, sent: Any, ended: Any, cpu_s: float) -> dict[str, Any]:
    lag_ms = (sent - intended) / 1e6
    took_ms = (ended - intended) / 1e6
    return {
        "sent": len(sent),
        "per_s": round(len(sent) / LENGTH_S),
        "lag_p50_ms": round(float(np.percentile(lag_ms, 50)), 3),
        "lag_p99_ms": round(float(np.percentile(lag_ms, 99)), 3),
        "lag_p99.9_ms": round(float(np.percentile(lag_ms, 99.9)), 3),
        "p95_ms": round(float(np.percentile(took_ms, 95)), 3),
        "cpu_ms_per_1000": round(cpu_s * 1e6 / max(len(sent), 1), 1),
    }


async def bare(port: int, rate: int) -> dict[str, Any]:
    """The same rate over asyncio streams, one sleep before each start, nothing recorded."""
    room = asyncio.Semaphore(MOST_OPEN)
    free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    times: list[tuple[int, int, int]] = []
    body = b'{"userId":12345,"couponCode":"COUPON"}'
    request = b"POST /api/v1/coupons/issue HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )

    async def one(intended: int) -> None:
        async with room:
            connection = free.pop() if free else await asyncio.open_connection("127.0.0.1", port)
            sent = time.monotonic_ns()
            connection[1].write(request)
            await connection[0].readexactly(len(ANSWER))
            times.append((intended, sent, time.monotonic_ns()))
            free.append(connection)

    began_cpu = time.process_time()
    t0 = time.monotonic_ns()
    async with asyncio.TaskGroup() as group:
        for k in range(rate * LENGTH_S):
            due = t0 + k * 1_000_000_000 // rate
            wait = due - time.monotonic_ns()
            if wait > 0:
                await asyncio.sleep(wait / 1e9)
            group.create_task(one(due))
    cpu_s = time.process_time() - began_cpu
    for _, writer in free:
        writer.close()
    columns = np.array(times).T
    return figures(columns[0], columns[1], columns[2], cpu_s)


def main(rates: list[int]) -> None:
    context = multiprocessing.get_context("spawn")
    ports: multiprocessing.Queue[int] = context.Queue()
    server = context.Process(target=serve, args=(ports,), daemon=True)
    server.start()
    port = ports.get(timeout=20)
    for rate in rates:
        before = psutil.cpu_times()
        with tempfile.TemporaryDirectory() as folder:
            ours = worker(port, rate, Path(folder))
        print(f"{rate}/s  gameday       {ours}", flush=True)
        theirs = asyncio.run(bare(port, rate))
        after = psutil.cpu_times()
        print(f"{rate}/s  bare asyncio  {theirs}")
        ratio = theirs["lag_p99_ms"] / max(ours["lag_p99_ms"], 0.001)
        print(
            f"{rate}/s  lag p99 {ratio:.1f} times smaller; steal {after.steal - before.steal:.2f} s"
        )
    server.terminate()
    server.join()


if __name__ == "__main__":
    main([int(rate) for rate in sys.argv[1:]] or [1000, 1500, 5000])
