"""What users of a file cost: plain requests beside those with a token of 100,000 users.

    python -m tests.benchmarks.bench_users [--rate 12000] [--rounds 5]

One worker sends to nginx at the rate, in turn the plain request of `load_peers` and the same with
`Authorization: Bearer {token}`, the tokens being 600 bytes as those of a JWT. Told for each are the
median of what was sent a second, of the lag's p99, and of the CPU of a second.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from gameday.traffic import history
from tests.benchmarks.load_target import PATH, nginx, target

USERS = 100_000
LENGTH_S = 5


def config(port: int, rate: int, folder: Path, users: Path | None) -> dict[str, Any]:
    request: dict[str, Any] = {
        "post": PATH,
        "json": {"userId": "{user}", "couponCode": "{coupon}"},
        "timeout": "10s",
        "capture": {"issue_id": "issueId", "remaining": "remaining"},
        "outcomes": {"accepted": {"status": 200}},
    }
    rates = {"executor": "constant-arrival-rate", "rate": f"{rate}/s", "duration": f"{LENGTH_S}s"}
    made = {
        "worker": 0,
        "workers": 1,
        "history_dir": str(folder),
        "seed": 7,
        "run": "bench",
        "coupon": "COUPON",
        "stock": 1000,
        "users": USERS,
        "request": request,
        "base_url": f"http://127.0.0.1:{port}",
        "scenarios": {"bench": rates},
    }
    if users is not None:
        request["headers"] = {"Authorization": "Bearer {token}"}
        made["users_file"] = {"path": str(users), "sha256": None}
    return made


def shot(port: int, rate: int, users: Path | None) -> tuple[float, float, float]:
    """Requests a second, p99 of the lag in ms, and CPU seconds of a second."""
    with tempfile.TemporaryDirectory() as folder:
        child = subprocess.Popen(
            [sys.executable, "-m", "gameday.traffic.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps(config(port, rate, Path(folder), users)).encode() + b"\n")
        child.stdin.flush()
        child.stdout.readline()
        before_s = sum(psutil.Process(child.pid).cpu_times()[:2])
        child.stdin.write(json.dumps({"cmd": "start", "t0_ns": time.monotonic_ns()}).encode())
        child.stdin.write(b"\n")
        child.stdin.flush()
        cpu_s = 0.0
        for line in child.stdout:
            if json.loads(line)["event"] == "idle":
                cpu_s = sum(psutil.Process(child.pid).cpu_times()[:2]) - before_s
                child.stdin.close()
        child.wait(timeout=30)
        child.stdout.close()
        records = history.read(Path(folder) / "bench-0.bin").records
        sent = records[records["outcome"] == history.Outcome.ACCEPTED]
        lag_ms = (sent["sent_ns"] - sent["intended_ns"]) / 1e6
        return len(sent) / LENGTH_S, float(np.percentile(lag_ms, 99)), cpu_s / LENGTH_S


def lines() -> Iterator[str]:
    yield "id,token\n"
    for user in range(USERS):
        yield f"{user},{f'{user:08d}.' * 66}\n"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_users")
    parser.add_argument("--rate", type=int, default=12_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    program = nginx()
    if program is None:
        sys.exit("nginx is not here")
    found: dict[str, list[tuple[float, float, float]]] = {"plain": [], "token of a file": []}
    with target(program) as server, tempfile.TemporaryDirectory() as folder:
        users = Path(folder) / "users.csv"
        with users.open("w") as file:
            file.writelines(lines())
        for _ in range(given.rounds):
            for name, path in (("plain", None), ("token of a file", users)):
                found[name].append(shot(server.port, given.rate, path))
    print("| requests | asked | sent/s | lag p99, ms | CPU |\n|---|---:|---:|---:|---:|")
    for name, shots in found.items():
        sent, lag, cpu = (statistics.median(column) for column in zip(*shots, strict=True))
        print(f"| {name} | {given.rate} | {sent:.0f} | {lag:.1f} | {cpu:.2f} |")


if __name__ == "__main__":
    main()
