"""How each load generator is started, and what it says of itself.

Peers are looked for on the PATH and in the folder that GAMEDAY_PEERS names, at any depth of two
(`hey`, `oha/bin/oha`, `artillery/bin/artillery`); the others are said to be missing. hey and wrk
are Debian's, oha is cargo's, Locust is PyPI's; Artillery is npm's (`npm install -g --ignore-scripts
--prefix PEERS/artillery artillery`: a script would fetch a browser). All send the same POST over
keep-alive connections. Ours, Artillery, oha and hey can be asked for a rate; wrk and locust send as
fast as answers come, or with a pause for each connection. None may hang: who takes a minute longer
than asked for is killed.
"""

import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from gameday.traffic import history, metrics
from gameday.traffic.history import History, Outcome
from tests.benchmarks.load_target import BODY, PATH

CONNECTIONS = 100
# What the worker's own books call late. A host that stops the machine for 10 to 50 ms makes starts
# late at any rate; a worker that cannot keep its rate is later by the second.
LATE_NS = 100_000_000
LONGEST_S = 60
MINDED_EVERY_S = 0.2
NAMES = ("gameday", "artillery", "oha", "hey", "locust", "wrk")
POINTS = ("p50", "p90", "p95", "p99", "max")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One run: what was sent of what was asked for, what it cost, and the latencies it tells.

    `asked` is None where no rate was asked for; `late` counts starts over 100 ms late, where the
    tool tells them; `ms` has what it tells of `POINTS`.
    """

    sent: int
    length_s: float
    cpu_s: float
    rss_mb: float
    asked: int | None = None
    late: int = 0
    ms: Mapping[str, float] = field(default_factory=dict)

    @property
    def missed(self) -> float:
        """The share that was late, dropped or never sent."""
        return 0.0 if not self.asked else (max(0, self.asked - self.sent) + self.late) / self.asked


@dataclass(frozen=True, slots=True)
class Ended:
    """A child process that has ended: its output, and what it and its children cost."""

    output: str
    cpu_s: float
    rss_mb: float


class Minder:
    """Looks after a child: how much memory it had, and that it ends.

    The kernel's ru_maxrss is no less than what the parent had when it forked, so the child's own
    high-water mark is read meanwhile.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", length_s: float) -> None:
        self.rss_mb = math.nan
        self._process = process
        self._until_s = time.monotonic() + length_s + LONGEST_S
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if kind is not None:
            self._process.kill()

    def _look(self) -> None:
        status = Path(f"/proc/{self._process.pid}/status")
        while not self._ended.wait(MINDED_EVERY_S):
            with suppress(OSError):
                found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
                self.rss_mb = int(found[1]) / 1024 if found else self.rss_mb
            if time.monotonic() > self._until_s:
                self._process.kill()

    def end(self) -> tuple[int, float]:
        """Wait for it; how it ended, and the CPU seconds of it and all its children."""
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return self._process.returncode, usage.ru_utime + usage.ru_stime


def run(argv: Sequence[str], length_s: float, cwd: str | None = None) -> Ended:
    """Run it to its end; its output goes through a file, so that nobody has to read in time."""
    with tempfile.TemporaryFile() as file:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, cwd=cwd
        )
        with Minder(process, length_s) as minder:
            _, cpu_s = minder.end()
        file.seek(0)
        return Ended(file.read().decode(errors="replace"), cpu_s, minder.rss_mb)


def program(name: str) -> str | None:
    """Where a peer is."""
    found = shutil.which(name)
    folder = os.environ.get("GAMEDAY_PEERS", "")
    for pattern in (name, f"*/{name}", f"*/bin/{name}") if folder else ():
        for path in sorted(Path(folder).glob(pattern)):
            if found is None and path.is_file() and os.access(path, os.X_OK):
                found = str(path)
    return found


def fire(name: str, port: int, rate: int | None, length_s: int) -> Shot:
    """One run of a tool, at a rate or, with None, as fast as it goes."""
    with tempfile.TemporaryDirectory() as folder:
        return SHOOTERS[name](port, rate, length_s, Path(folder))


def drive(port: int, rate: int, length_s: int, folder: Path) -> tuple[History, Ended]:
    """One run of our worker, a process of its own; what it recorded, and what it cost."""
    child = subprocess.Popen(
        [sys.executable, "-m", "gameday.traffic.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None

    def say(order: Mapping[str, Any]) -> None:
        assert child.stdin is not None
        child.stdin.write(json.dumps(order).encode() + b"\n")
        child.stdin.flush()

    with Minder(child, length_s) as minder:
        say(_config(port, rate, length_s, folder))
        child.stdout.readline()
        say({"cmd": "start", "t0_ns": time.monotonic_ns() + 200_000_000})
        for line in child.stdout:
            if json.loads(line)["event"] == "idle":
                say({"cmd": "stop", "grace_s": 1.0})
        _, cpu_s = minder.end()
    child.stdin.close()
    child.stdout.close()
    return history.read(folder / "bench-0.bin"), Ended("", cpu_s, minder.rss_mb)


def gameday(port: int, rate: int | None, length_s: int, folder: Path) -> Shot:
    """Our worker: one process, all phases and the history recorded."""
    asked = rate or 1000
    read, ended = drive(port, asked, length_s, folder)
    sent = read.records[read.records["outcome"] == Outcome.ACCEPTED]
    late = int((sent["sent_ns"] - sent["intended_ns"] > LATE_NS).sum())
    figures = metrics.measure([read], "http_req_duration_intended", percentiles=(50, 90, 95, 99))
    assert figures is not None
    return Shot(
        sent=len(sent),
        asked=asked * length_s,
        late=late,
        length_s=length_s,
        cpu_s=ended.cpu_s,
        rss_mb=ended.rss_mb,
        ms={**{f"p{p}": figures[f"p({p})"] for p in (50, 90, 95, 99)}, "max": figures["max"]},
    )


def _config(port: int, rate: int, length_s: int, folder: Path) -> dict[str, Any]:
    executor = {"executor": "constant-arrival-rate", "rate": f"{rate}/s"}
    request = {
        "post": PATH,
        "json": {"userId": "{user}", "couponCode": "{coupon}"},
        "timeout": "10s",
        "capture": {"issue_id": "issueId", "remaining": "remaining"},
        "outcomes": {"accepted": {"status": 200}},
    }
    return {
        "worker": 0,
        "workers": 1,
        "history_dir": str(folder),
        "seed": 7,
        "run": "bench",
        "coupon": "COUPON",
        "stock": 1000,
        "users": 100_000,
        "base_url": f"http://127.0.0.1:{port}",
        "request": request,
        "scenarios": {"bench": {**executor, "duration": f"{length_s}s"}},
    }


def artillery(port: int, rate: int | None, length_s: int, folder: Path) -> Shot:
    """Artillery in one process; its virtual users arrive at the rate and ask once each.

    It does not tell which starts were late, only that it took longer: they are taken to fall behind
    in a straight line. Its response time ends with the first byte and counts from the send.
    """
    asked = rate or 1000
    phase = {"duration": length_s, "arrivalRate": asked}
    post = {"url": PATH, "body": BODY.decode(), "headers": {"Content-Type": "application/json"}}
    script = {
        "config": {
            "target": f"http://127.0.0.1:{port}",
            "phases": [phase],
            "http": {"pool": CONNECTIONS, "timeout": 10},
        },
        "scenarios": [{"flow": [{"post": post}]}],
    }
    (folder / "script.json").write_text(json.dumps(script))
    report = folder / "report.json"
    argv = ["env", "ARTILLERY_DISABLE_TELEMETRY=true", program("artillery") or "", "run", "--quiet"]
    ended = run([*argv, "--output", str(report), str(folder / "script.json")], length_s)
    told = json.loads(report.read_text())["aggregate"]
    sent, trend = int(told["counters"]["http.codes.200"]), told["summaries"]["http.response_time"]
    took_s = (told["lastCounterAt"] - told["firstCounterAt"]) / 1000
    return Shot(
        sent=sent,
        asked=asked * length_s,
        late=late_starts(sent, took_s - length_s),
        length_s=max(took_s, length_s),
        cpu_s=ended.cpu_s,
        rss_mb=ended.rss_mb,
        ms={point: float(trend[point]) for point in POINTS},
    )


def late_starts(count: int, behind_s: float) -> int:
    """The number of late ones among evenly due starts that fall behind, the last by `behind_s`."""
    return round(count * max(0.0, 1 - LATE_NS / 1e9 / behind_s)) if behind_s > 0 else 0


def oha(port: int, rate: int | None, length_s: int, _: Path) -> Shot:
    """Oha with its correction for coordinated omission, where a rate is asked for."""
    paced = [] if rate is None else ["-q", str(rate), "--latency-correction"]
    argv = [program("oha") or "", "--no-tui", "--output-format", "json", "-z", f"{length_s}s"]
    argv += ["-c", str(CONNECTIONS), "-w", *paced, "-m", "POST", "-d", BODY.decode()]
    ended = run([*argv, "-T", "application/json", f"http://127.0.0.1:{port}{PATH}"], length_s)
    told = json.loads(ended.output[ended.output.index("{") :])
    percentiles = told["latencyPercentiles"]
    ms = {f"p{p}": (percentiles[f"p{p}"] or 0) * 1000 for p in (50, 90, 95, 99)}
    return Shot(
        sent=sum(told["statusCodeDistribution"].values()),
        asked=None if rate is None else rate * length_s,
        length_s=length_s,
        cpu_s=ended.cpu_s,
        rss_mb=ended.rss_mb,
        ms={**ms, "max": told["summary"]["slowest"] * 1000},
    )


def hey(port: int, rate: int | None, length_s: int, _: Path) -> Shot:
    """Hey limits each of its workers, so a rate is shared out."""
    paced = [] if rate is None else ["-q", str(rate / CONNECTIONS)]
    argv = [program("hey") or "", "-z", f"{length_s}s", "-c", str(CONNECTIONS), *paced]
    argv += ["-m", "POST", "-d", BODY.decode(), "-T", "application/json"]
    ended = run([*argv, f"http://127.0.0.1:{port}{PATH}"], length_s)
    ms = {
        f"p{p}": float(seconds) * 1000
        for p, seconds in re.findall(r"(50|90|95|99)%+ in ([\d.]+) secs", ended.output)
    }
    slowest = re.search(r"Slowest:\s+([\d.]+) secs", ended.output)
    answered = re.findall(r"\[200\]\s+(\d+) responses", ended.output)
    return Shot(
        sent=sum(int(count) for count in answered),
        asked=None if rate is None else rate * length_s,
        length_s=length_s,
        cpu_s=ended.cpu_s,
        rss_mb=ended.rss_mb,
        ms={**ms, "max": float(slowest[1]) * 1000 if slowest else float("nan")},
    )


LOCUST_FILE = """
from locust import FastHttpUser, constant_throughput, task
class Bench(FastHttpUser):
    host = "%(host)s"
    %(pace)s
    @task
    def ask(self):
        self.client.post("%(path)s", data=b'%(body)s', headers={"Content-Type": "application/json"})
"""


def locust(port: int, rate: int | None, length_s: int, folder: Path) -> Shot:
    """FastHttpUser in one process; the closed model, with a pause where a rate is asked for."""
    pace = "" if rate is None else f"wait_time = constant_throughput({rate / CONNECTIONS})"
    values = {"host": f"http://127.0.0.1:{port}", "pace": pace, "path": PATH}
    (folder / "locustfile.py").write_text(LOCUST_FILE % {**values, "body": BODY.decode()})
    count = str(CONNECTIONS)
    argv = [program("locust") or "", "--headless", "-u", count, "-r", count]
    ended = run([*argv, "-t", f"{length_s}s", "--json", "-L", "ERROR"], length_s, str(folder))
    told = json.JSONDecoder().raw_decode(ended.output[ended.output.index("[") :])[0][0]
    took_ms = {float(ms): int(n) for ms, n in told["response_times"].items()}
    every = np.repeat(np.array([*took_ms]), np.array([*took_ms.values()]))
    sent_s = told["last_request_timestamp"] - told["start_time"]
    figures = np.percentile(every, (50, 90, 95, 99))
    return Shot(
        sent=int(told["num_requests"]),
        asked=None if rate is None else rate * length_s,
        length_s=max(sent_s, 1.0),
        cpu_s=ended.cpu_s,
        rss_mb=ended.rss_mb,
        ms={
            **dict(zip(POINTS, (float(f) for f in figures), strict=False)),
            "max": float(told["max_response_time"]),
        },
    )


WRK_SCRIPT = """
wrk.method = "POST"
wrk.body = '%s'
wrk.headers["Content-Type"] = "application/json"
%s
function done(summary, latency)
  io.write("figures ", summary.requests)
  for _, p in ipairs({50, 90, 95, 99}) do io.write(" ", latency:percentile(p)) end
  io.write(" ", latency.max, "\\n")
end
"""


def wrk(port: int, rate: int | None, length_s: int, folder: Path) -> Shot:
    """Wrk in one thread; the closed model, with a pause where a rate is asked for."""
    pause_ms = 0 if rate is None else round(CONNECTIONS * 1000 / rate)
    pause = f"function delay() return {pause_ms} end" if pause_ms else ""
    (folder / "post.lua").write_text(WRK_SCRIPT % (BODY.decode(), pause))
    argv = [program("wrk") or "", "-t1", f"-c{CONNECTIONS}", f"-d{length_s}s", "--timeout", "10s"]
    url = f"http://127.0.0.1:{port}{PATH}"
    ended = run([*argv, "-s", str(folder / "post.lua"), url], length_s)
    figures = re.search(r"^figures (.*)$", ended.output, re.MULTILINE)
    assert figures is not None, ended.output
    sent, *micros = (float(text) for text in figures[1].split())
    return Shot(
        sent=int(sent),
        length_s=length_s,
        cpu_s=ended.cpu_s,
        rss_mb=ended.rss_mb,
        ms=dict(zip(POINTS, (value / 1000 for value in micros), strict=True)),
    )


SHOOTERS = {
    "gameday": gameday,
    "artillery": artillery,
    "oha": oha,
    "hey": hey,
    "locust": locust,
    "wrk": wrk,
}
PACED = ("gameday", "artillery", "oha")
