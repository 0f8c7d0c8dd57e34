"""One measurement of one checkout, for bench_pairs: prints figures as JSON, less is better.

Run with the interpreter and the folder of the checkout that is measured, so that `gameday` and
`tests` are its own; this file may be another's. It uses only what both have.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from gameday.stacks.binaries import redis_server
from tests.benchmarks import bench_judge, load_peers
from tests.benchmarks.load_target import free_port

START_LIMIT_S = 20.0
SETS = 60_000
REQUESTS = 1_000_000
RATES = {"traffic, 8,000/s": (8_000, 5), "traffic, 16,000/s": (16_000, 4)}
START_UP = (100, 1)


def traffic(port: int) -> Mapping[str, float]:
    """CPU seconds of a worker at each rate, and of one that hardly sends anything."""
    found = {name: _drive(port, *what) for name, what in RATES.items()}
    return {**found, "traffic, start-up": _drive(port, *START_UP)}


def _drive(port: int, rate: int, length_s: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        _, ended = load_peers.drive(port, rate, length_s, Path(folder))
        return ended.cpu_s


def proxy(_: int) -> Mapping[str, float]:
    """CPU and wall seconds of redis-benchmark's SETs through the embedded Toxiproxy."""
    redis, listen, api = free_port(), free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        store = [str(redis_server().path), "--port", str(redis), "--save", ""]
        server = [sys.executable, "-m", "gameday", "toxiproxy", "--port", str(api)]
        with (
            subprocess.Popen(store, cwd=folder, stdout=subprocess.DEVNULL) as one,
            subprocess.Popen(server, stdout=subprocess.DEVNULL) as other,
        ):
            try:
                return _through(redis, listen, api, psutil.Process(other.pid))
            finally:
                one.terminate()
                other.terminate()


def _through(redis: int, listen: int, api: int, server: psutil.Process) -> Mapping[str, float]:
    body = {"name": "r", "listen": f"127.0.0.1:{listen}", "upstream": f"127.0.0.1:{redis}"}
    _until(lambda: _post(f"http://127.0.0.1:{api}/proxies", body))
    found: dict[str, float] = {}
    for name, more in {"50 connections": ["-c", "50"], "1 connection": ["-c", "1"]}.items():
        count = SETS if "50" in name else SETS // 6
        found |= _sets(f"proxy, {name}", listen, server, "-n", str(count), *more)
    toxic = {"type": "latency", "attributes": {"latency": 1}}
    _post(f"http://127.0.0.1:{api}/proxies/r/toxics", toxic)
    late = _sets("proxy, 1 ms of latency", listen, server, "-n", str(SETS), "-c", "50")
    return {**found, "proxy, 1 ms of latency, CPU": late["proxy, 1 ms of latency, CPU"]}


def _sets(name: str, listen: int, server: psutil.Process, *more: str) -> dict[str, float]:
    before, began = sum(server.cpu_times()[:2]), time.monotonic()
    argv = ["redis-benchmark", "-p", str(listen), "-t", "set", "-q", *more]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    wall, cpu = time.monotonic() - began, sum(server.cpu_times()[:2]) - before
    return {f"{name}, wall": wall, f"{name}, CPU": cpu}


def _post(url: str, body: Mapping[str, Any]) -> None:
    raw = json.dumps(body).encode()
    urllib.request.urlopen(urllib.request.Request(url, raw), timeout=5).close()


def _until(work: Callable[[], None]) -> None:
    """Try until it works, for `START_LIMIT_S` seconds at most."""
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        with suppress(OSError):
            work()
            return
        time.sleep(0.05)
    work()


def judge(_: int) -> Mapping[str, float]:
    """CPU seconds of reading, checking and summarising a made-up run."""
    with tempfile.TemporaryDirectory() as folder:
        took = bench_judge.once(bench_judge.write(Path(folder), REQUESTS))
    return {"judging": sum(took.values()) - took[bench_judge.SEAL]}


SHOTS = {"traffic": traffic, "proxy": proxy, "judge": judge}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=SHOTS)
    parser.add_argument("port", type=int, help="where the server of the traffic listens")
    given = parser.parse_args()
    print(json.dumps(dict(SHOTS[given.what](given.port))))


if __name__ == "__main__":
    main()
