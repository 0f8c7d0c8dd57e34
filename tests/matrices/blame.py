"""`python -m tests.matrices.blame [names]`: who is to blame, in more than forty staged situations.

A real traffic worker sends to a real server, each a process of its own; one of them, both or
neither is held up. What the run says (status, reasons, thresholds crossed) is held against what
was staged. Each situation takes about 6 s. Exit code 1 when less than 98 % blame the right side,
or a limited run was called kept.

The kernel is asked as well whether something that was not staged held a process up: how long
worker and server were ready to run and were not run. A situation that was spoiled so is staged
again, at most three times, and if it comes out wrong all the same it counts as spoiled.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gameday.core.clock import NS
from gameday.traffic import history, metrics, thresholds, vitals
from gameday.traffic.worker.messages import event_in
from tests.matrices.blame_hurdles import Hurdle

Side = Literal["generator", "system", "none"]
LENGTH_S = 4.0
LEAD_NS = NS // 5
GRACE_S = 0.5
TRIES = 3
# Of a window of 5 s: more than this is what may make it limited by itself.
SPOILED_S = 0.1
RIGHT_SHARE = 0.98
THRESHOLDS = {"http_req_failed": ["rate<0.02"], "http_req_duration": ["p(95)<200"]}
BOUND_MS = 200.0


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What is staged, and whose doing it is. `mildly`: a degraded run says enough."""

    name: str
    side: Side
    traffic: Mapping[str, Mapping[str, Any]]
    server: Mapping[str, Any] = field(default_factory=dict)
    worker_hurdle: Hurdle = field(default_factory=Hurdle)
    server_hurdle: Hurdle = field(default_factory=Hurdle)
    timeout: str = "2s"
    mildly: bool = False
    refused: bool = False  # nobody listens
    speaks_up_to: float | None = None
    says: str = ""

    def lacks(self) -> str:
        return self.worker_hurdle.lacks() or self.server_hurdle.lacks()


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the run said, and what the kernel knows of the two processes."""

    generator: metrics.GeneratorStatus
    crossed: tuple[str, ...]
    worker_waited_s: float
    server_waited_s: float

    @property
    def side(self) -> Side:
        if self.generator.status == "limited":
            return "generator"
        return "system" if self.crossed else "none"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One situation as it came out in the end."""

    situation: Situation
    said: Said
    tries: int

    @property
    def right(self) -> bool:
        status, asked = self.said.generator.status, self.situation
        if asked.speaks_up_to is not None:
            spoken = self.said.generator.speaks_up_to_per_s
            if abs(spoken - asked.speaks_up_to) > 0.05 * asked.speaks_up_to:
                return False
        if asked.says and asked.says not in " ".join(map(str, self.said.generator.reasons)):
            return False
        if asked.mildly and asked.side == "generator":
            return status in ("limited", "degraded")
        return self.said.side == asked.side

    @property
    def spoiled(self) -> bool:
        """Wrong, and something else than what was staged held a process up."""
        by_worker = self.said.worker_waited_s > SPOILED_S and self.situation.side != "generator"
        by_server = self.said.server_waited_s > SPOILED_S and self.situation.side == "none"
        return not self.right and (by_worker or by_server)

    @property
    def whitewashed(self) -> bool:
        """A limited run that was called kept."""
        return self.situation.side == "generator" and self.said.generator.status == "kept"

    def __str__(self) -> str:
        said, asked = self.said, self.situation
        mark = "right" if self.right else "SPOILED" if self.spoiled else "WRONG"
        crossed = f" crossed: {', '.join(said.crossed)};" if said.crossed else ""
        reasons = "; ".join(map(str, said.generator.reasons))
        return (
            f"{mark:8}{asked.name:34}{asked.side:10} said {said.side:10}{said.generator.status:9}"
            f"{crossed} {reasons} (lag p95 {said.generator.lag_p95_ms:.1f} ms, speaks up to "
            f"{said.generator.speaks_up_to_per_s:.0f}/s, waited {said.worker_waited_s:.2f} and "
            f"{said.server_waited_s:.2f} s, {self.tries} tries)"
        )


def stage(situation: Situation) -> Outcome:
    """Stage it until it is as it was meant to be, three times at most."""
    for tries in range(1, TRIES + 1):
        with tempfile.TemporaryDirectory() as folder:
            outcome = Outcome(situation=situation, said=once(situation, Path(folder)), tries=tries)
        if not outcome.spoiled or tries == TRIES:
            return outcome
    raise AssertionError


def once(situation: Situation, folder: Path) -> Said:
    """One run of worker and server; what it says."""
    with ExitStack() as stack:
        prefix = stack.enter_context(situation.worker_hurdle.place())
        manner = json.dumps(dict(situation.server))
        server = stack.enter_context(
            process([*prefix, *python("tests.matrices.blame_server", manner)])
        )
        port = int(line(server))
        if situation.refused:
            server.kill()
            server.wait()
        command = [*prefix, *situation.worker_hurdle.words, *python("gameday.traffic.worker")]
        worker = stack.enter_context(process(command))
        say(worker, config(situation, port, folder))
        line(worker)
        t0_ns = time.monotonic_ns() + LEAD_NS
        before = waited_s(worker.pid), waited_s(server.pid)
        with (
            situation.worker_hurdle.work(worker.pid, t0_ns, LENGTH_S),
            situation.server_hurdle.work(server.pid, t0_ns, LENGTH_S),
        ):
            say(worker, {"cmd": "start", "t0_ns": t0_ns})
            time.sleep(max(0.0, (t0_ns - time.monotonic_ns()) / 1e9 + LENGTH_S + GRACE_S))
            waits = [waited_s(worker.pid) - before[0], waited_s(server.pid) - before[1]]
        say(worker, {"cmd": "stop", "grace_s": 0.1})
        told, _ = worker.communicate(timeout=30)
    return read(folder, told, t0_ns, waits)


def read(folder: Path, told: bytes, t0_ns: int, waits: list[float]) -> Said:
    """What is said by the very code that says it of any run."""
    histories = [history.read(path) for path in sorted(folder.glob("*.bin"))]
    said = [event_in(raw) for raw in told.splitlines()]
    signs = vitals.of(each for each in said if isinstance(each, vitals.WorkerSample))
    until_ns = t0_ns + round(LENGTH_S * NS)
    status = metrics.generator(histories, BOUND_MS, until_ns=until_ns, vitals=signs)
    crossed = []
    for key, texts in THRESHOLDS.items():
        for text in texts:
            asked = thresholds.parse(text)
            figures = metrics.measure(histories, key)
            if thresholds.evaluate(asked, figures) is False:
                crossed.append(f"{key} {text}")
    return Said(
        generator=status,
        crossed=tuple(crossed),
        worker_waited_s=waits[0],
        server_waited_s=waits[1],
    )


def python(module: str, *args: str) -> list[str]:
    return [sys.executable, "-m", module, *args]


@contextmanager
def process(command: list[str]) -> "Iterator[subprocess.Popen[bytes]]":
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def line(child: "subprocess.Popen[bytes]") -> bytes:
    assert child.stdout is not None
    said = child.stdout.readline()
    assert said, f"{child.args!r} ended"
    return said


def say(child: "subprocess.Popen[bytes]", order: Mapping[str, Any]) -> None:
    assert child.stdin is not None
    child.stdin.write(json.dumps(order).encode() + b"\n")
    child.stdin.flush()


def waited_s(pid: int) -> float:
    """How long a process was ready to run and was not run."""
    path = Path(f"/proc/{pid}/schedstat")
    try:
        return int(path.read_text().split()[1]) / NS
    except (OSError, IndexError):
        return 0.0


def config(situation: Situation, port: int, folder: Path) -> dict[str, Any]:
    request = {
        "post": "/api/v1/coupons/issue",
        "json": {"userId": "{user}", "couponCode": "{coupon}"},
        "timeout": situation.timeout,
        "outcomes": {"issued": {"status": 200}, "refused": {"status": [429, 503]}},
    }
    return {
        "worker": 0,
        "workers": 1,
        "history_dir": str(folder),
        "seed": 7,
        "run": "blame",
        "coupon": "COUPON",
        "users": 100_000,
        "base_url": f"http://127.0.0.1:{port}",
        "request": request,
        "scenarios": dict(situation.traffic),
    }


def tell(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(names: list[str]) -> int:
    """Stage all, or those named; the exit code."""
    from tests.matrices.blame_situations import SITUATIONS

    chosen = [one for one in SITUATIONS if not names or one.name in names]
    outcomes, unstaged = [], []
    for situation in chosen:
        lacks = situation.lacks()
        if lacks:
            unstaged.append(situation.name)
            tell(f"-       {situation.name:34}cannot be staged without {lacks}")
            continue
        outcomes.append(stage(situation))
        tell(str(outcomes[-1]))
    spoiled = [one for one in outcomes if one.spoiled]
    counted = [one for one in outcomes if not one.spoiled]
    right = sum(one.right for one in counted)
    kept = [one.situation.name for one in outcomes if one.whitewashed]
    share = right / max(len(counted), 1)
    tell(
        f"{right} of {len(counted)} right ({share:.1%}); {len(spoiled)} spoiled by this machine, "
        f"{len(unstaged)} not staged; limited runs called kept: {', '.join(kept) or 'none'}"
    )
    return 0 if counted and share >= RIGHT_SHARE and not kept else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    sys.exit(main(parser.parse_args().names))
