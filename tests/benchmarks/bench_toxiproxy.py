"""What a proxy costs: directly, through ours, and through the real Toxiproxy, in one run.

`python -m tests.benchmarks.bench_toxiproxy [--quick]`, at most four minutes. Only figures of one
run can be compared, so every measurement goes round the servers in turn, several times, and each
ratio is the median of the rounds' ratios. On a machine that does other things too, the CPU
seconds that each server spent on a request say more than its requests a second.

redis-benchmark is taken from the PATH (Debian: redis-tools). The real server is the program that
GAMEDAY_TOXIPROXY names, or `toxiproxy-server` on the PATH. What is not there is left out, and
said so.
"""

import argparse
import asyncio
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psutil

from gameday.stacks.binaries import redis_server
from tests.benchmarks.far_end import SIZE_BYTES, far_end

START_LIMIT_S = 15
LATENCY_MS = 100
MB = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured."""

    rounds: int
    plain_requests: int
    bulk_mb: int
    echoes: int
    delayed: int
    connections: int


WHOLE = Size(
    rounds=5, plain_requests=50_000, bulk_mb=400, echoes=1000, delayed=40, connections=2000
)
QUICK = Size(rounds=2, plain_requests=10_000, bulk_mb=50, echoes=300, delayed=8, connections=500)

# What is asked of redis-benchmark, and its share of the plain requests.
SETTINGS = {
    "1 connection": (["-c", "1"], 0.2),
    "1 connection, 16 pipelined": (["-c", "1", "-P", "16"], 1.0),
    "50 connections": (["-c", "50"], 1.0),
    "50 connections, 16 pipelined": (["-c", "50", "-P", "16"], 4.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to the far end; `api` and `process` are None for the direct one."""

    name: str
    ports: Mapping[str, int]
    api: int | None = None
    process: psutil.Process | None = None

    def cpu_s(self) -> float:
        return 0.0 if self.process is None else sum(self.process.cpu_times()[:2])

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> float:
        """Call the API; how many ms it took."""
        data = None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.api}{path}"
        begun = time.perf_counter()
        request = urllib.request.Request(url, data, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            answer.read()
        return (time.perf_counter() - begun) * 1000


@dataclass(slots=True)
class Figures:
    """What one way achieved in each round, and the CPU its server spent on each request."""

    values: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def running(argv: list[str], port: int) -> Iterator[psutil.Process]:
    """The program, from when its port answers."""
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + START_LIMIT_S
            while True:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{argv[0]} does not answer on port {port}")
                time.sleep(0.05)
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def commands() -> dict[str, list[str]]:
    """The proxies to compare, by name: how each is started, without its port."""
    found = {"ours": [sys.executable, "-m", "gameday.toxiproxy", "--host", "127.0.0.1", "--port"]}
    real = os.environ.get("GAMEDAY_TOXIPROXY") or shutil.which("toxiproxy-server")
    if real:
        found["real"] = [real, "-host", "127.0.0.1", "-port"]
    else:
        print("left out: the real Toxiproxy (GAMEDAY_TOXIPROXY names none, PATH has none)")
    return found


@contextmanager
def ways() -> Iterator[list[Way]]:
    """Directly, and through each proxy, to a Redis, an echo and a source of bytes."""
    with ExitStack() as stack:
        echo, source = stack.enter_context(far_end())
        targets = {"echo": echo, "source": source, "redis": free_port()}
        argv = [
            str(redis_server().path),
            "--port",
            str(targets["redis"]),
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        stack.enter_context(running(argv, targets["redis"]))
        found = [Way(name="direct", ports=targets)]
        for name, command in commands().items():
            api = free_port()
            process = stack.enter_context(running([*command, str(api)], api))
            ports = {target: free_port() for target in targets}
            way = Way(name=name, ports=ports, api=api, process=process)
            for target, port in targets.items():
                upstream, listen = f"127.0.0.1:{port}", f"127.0.0.1:{ports[target]}"
                way.ask(
                    "POST", "/proxies", {"name": target, "listen": listen, "upstream": upstream}
                )
            found.append(way)
        yield found


def rounds(
    through: Sequence[Way], times: int, requests: int, measure: Callable[[Way], float]
) -> dict[str, Figures]:
    """Measure each way in turn, `times` times over; the order is turned round each time."""
    figures = {way.name: Figures() for way in through}
    for number in range(times):
        for way in through if number % 2 else reversed(through):
            before = way.cpu_s()
            figures[way.name].values.append(measure(way))
            figures[way.name].cpu_us.append((way.cpu_s() - before) / requests * 1e6)
    return figures


def show(title: str, unit: str, figures: Mapping[str, Figures], per: str) -> None:
    shown = []
    for name, each in figures.items():
        text = f"{name} {statistics.median(each.values):,.0f} {unit}"
        if name != "direct":
            text += f" ({statistics.median(each.cpu_us):.2f} µs CPU/{per})"
        shown.append(text)
    if "real" in figures:
        ours, real = figures["ours"], figures["real"]
        ratio = median_ratio(ours.values, real.values)
        cpu = median_ratio(ours.cpu_us, real.cpu_us)
        shown.append(f"ours/real {ratio:.2f} (CPU {cpu:.2f})")
    print(f"{title}: " + ", ".join(shown), flush=True)


def median_ratio(ours: Sequence[float], real: Sequence[float]) -> float:
    pairs = zip(ours, real, strict=True)
    return statistics.median(a / b if b else float("nan") for a, b in pairs)


def show_redis(through: Sequence[Way], size: Size) -> None:
    program = shutil.which("redis-benchmark")
    if program is None:
        print("left out: requests a second (no redis-benchmark on the PATH; Debian: redis-tools)")
        return
    for setting, (options, share) in SETTINGS.items():
        requests = int(size.plain_requests * share)
        argv = [program, "-t", "set", "-n", str(requests), "--csv", *options]

        def measure(way: Way, argv: list[str] = argv) -> float:
            whole = [*argv, "-p", str(way.ports["redis"])]
            done = subprocess.run(whole, capture_output=True, text=True, check=True, timeout=120)
            return float(done.stdout.splitlines()[-1].split(",")[1].strip('"'))

        show(f"SET, {setting}", "/s", rounds(through, size.rounds, requests, measure), "request")


def connect(port: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), 20)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def receive(port: int, size: int) -> None:
    buffer = bytearray(1 << 20)
    with connect(port) as client:
        client.sendall(size.to_bytes(SIZE_BYTES))
        while size:
            got = client.recv_into(buffer)
            if not got:
                raise RuntimeError(f"the stream ended {size} bytes early")
            size -= got


def show_bulk(through: Sequence[Way], size: Size) -> None:
    for connections in (1, 8):
        each = size.bulk_mb * MB // connections

        def measure(way: Way, connections: int = connections, each: int = each) -> float:
            begun = time.perf_counter()
            readers = [
                threading.Thread(target=receive, args=(way.ports["source"], each))
                for _ in range(connections)
            ]
            for reader in readers:
                reader.start()
            for reader in readers:
                reader.join()
            return size.bulk_mb / (time.perf_counter() - begun)

        figures = rounds(through, size.rounds, size.bulk_mb, measure)
        show(f"bulk, {connections} connection{'s'[: connections - 1]}", "MB/s", figures, "MB")


def echoes_ms(client: socket.socket, times: int) -> list[float]:
    """How long each of so many round trips of 64 bytes took."""
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        client.sendall(bytes(64))
        client.recv(64, socket.MSG_WAITALL)
        took.append((time.perf_counter() - begun) * 1000)
    return took


def percentile(values: Sequence[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def show_added(through: Sequence[Way], size: Size) -> None:
    took: dict[str, list[float]] = {way.name: [] for way in through}
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(way.ports["echo"])) for way in through]
        for _ in range(size.rounds * 4):
            for way, client in zip(through, clients, strict=True):
                took[way.name] += echoes_ms(client, size.echoes // 4)
    p50 = {name: percentile(values, 50) for name, values in took.items()}
    shown = [
        f"{name} p50 {p50[name]:.3f} p99 {percentile(values, 99):.3f} ms"
        + ("" if name == "direct" else f" (adds {p50[name] - p50['direct']:.3f})")
        for name, values in took.items()
    ]
    print("echo, 1 connection: " + ", ".join(shown), flush=True)


def show_injected(proxied: Sequence[Way], size: Size) -> None:
    """All servers at the same time, five connections each, so that each sees the same noise."""
    took: dict[str, list[float]] = {way.name: [] for way in proxied}
    latency = {"type": "latency", "attributes": {"latency": LATENCY_MS}}

    def measure(way: Way, number: int) -> None:
        with connect(way.ports["echo"]) as client:
            time.sleep(number * 0.017)
            took[way.name] += echoes_ms(client, size.delayed)

    for way in proxied:
        way.ask("POST", "/proxies/echo/toxics", latency)
    threads = [
        threading.Thread(target=measure, args=(way, number))
        for number, way in enumerate([way for way in proxied for _ in range(5)])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for way in proxied:
        way.ask("DELETE", "/proxies/echo/toxics/latency_downstream")
        late = [ms - LATENCY_MS for ms in took[way.name]]
        print(
            f"latency {LATENCY_MS} ms, {way.name}: late by p50 {percentile(late, 50):.2f},"
            f" p99 {percentile(late, 99):.2f}, at least {min(late):.3f} ms",
            flush=True,
        )


async def answered(streams: Sequence[tuple[asyncio.StreamReader, asyncio.StreamWriter]]) -> int:
    """Send a byte into each connection; how many of them answer within twenty seconds."""
    for _, writer in streams:
        writer.write(b"?")
    asked = [asyncio.ensure_future(reader.readexactly(1)) for reader, _ in streams]
    done, _ = await asyncio.wait(asked, timeout=20)
    return sum(not task.exception() for task in done)


async def show_many(way: Way, count: int) -> None:
    if way.process is None:
        raise ValueError("the direct way has no server to look at")
    latency = {"type": "latency", "attributes": {"latency": LATENCY_MS}}
    rss_mb = [way.process.memory_info().rss / MB]
    begun = time.perf_counter()
    streams = [await asyncio.open_connection("127.0.0.1", way.ports["echo"]) for _ in range(count)]
    answers = [await answered(streams)]
    open_s = time.perf_counter() - begun
    rss_mb.append(way.process.memory_info().rss / MB)
    calls = {
        "list": ("GET", "/proxies", None),
        "add latency": ("POST", "/proxies/echo/toxics", latency),
        "remove": ("DELETE", "/proxies/echo/toxics/latency_downstream", None),
    }
    took = {}
    for name, call in calls.items():
        took[name] = await asyncio.to_thread(way.ask, *call)
        answers.append(await answered(streams))
    for _, writer in streams:
        writer.close()
    each_kb = (rss_mb[1] - rss_mb[0]) * 1000 / count
    shown = ", ".join(f"{name} {ms:.1f} ms" for name, ms in took.items())
    print(
        f"{count} connections, {way.name}: {min(answers)} answered each time,"
        f" open in {open_s:.1f} s, {rss_mb[1]:.0f} MB ({each_kb:.1f} kB each), {shown}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="What a proxy costs, ours and the real one's.")
    parser.add_argument("--quick", action="store_true", help="a look, in half a minute")
    size = QUICK if parser.parse_args().quick else WHOLE
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    begun, spent = time.monotonic(), psutil.cpu_times()
    with ways() as through:
        proxied = [way for way in through if way.process]
        show_redis(through, size)
        show_bulk(through, size)
        show_added(through, size)
        show_injected(proxied, size)
        for way in proxied:
            asyncio.run(show_many(way, size.connections))
    took_s = time.monotonic() - begun
    stolen = (psutil.cpu_times().steal - spent.steal) / took_s / (os.cpu_count() or 1)
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"took {took_s:.0f} s; load {load}; {stolen:.0%} of the CPU time stolen by the host")


if __name__ == "__main__":
    main()
