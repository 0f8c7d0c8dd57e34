"""Hold every shipped drill at a table, and as a replay of a run of its own, by the command line.

`python -m tests.matrices.scenarios [NAME ...]`; `--only tabletop` needs no stack.

A script takes part in each: it acknowledges, declares the right hypothesis, asks for a hint, works
the first step of the playbook that answers, and gives the all-clear when it is told that the system
is well. Of a replay are measured how soon it is ready (5 s are allowed), and how late each line of
samples appears (1 s is). Exit code 1 when a session does not end as it should.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from gameday.evidence import events, journal
from gameday.run import locks
from gameday.run.responder.orders import IncidentOrder
from gameday.spec.inputs import LoadedDrill, has_drill, load_drill
from gameday.spec.shipped import all_experiments
from gameday.spec.yaml import load
from tests.matrices.kills import GAMEDAY

SPEED = "20"
SESSION_S = 120.0  # a session of its longest `lasts`, at that speed, and to spare
RUN_S = 240.0
READY_S = 5.0
LATE_S = 1.0
LOOK_S = 0.02


@dataclass(frozen=True)
class Outcome:
    """One session: how soon it was ready, how late its samples were, and what is wrong.

    `cpu_s` is what it had worked until it was ready: on a busy machine it waits for most of that.
    """

    name: str
    mode: str
    ready_s: float
    cpu_s: float
    late_s: float
    wrong: str


class Session:
    """A session under way, as its trainee sees it."""

    def __init__(self, runs: Path, arguments: list[str]) -> None:
        before = set(runs.glob("*-drill-*"))
        self._begun = time.monotonic()
        self._said = runs / "said.txt"
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                [*GAMEDAY, "drill", *arguments, "--speed", SPEED, "--runs", str(runs)],
                stdout=said,
                stderr=said,
            )
        self.dir = self.until(lambda: next(iter(set(runs.glob("*-drill-*")) - before), None))
        self.until(lambda: self.first(events.Phase))
        self.ready_s = time.monotonic() - self._begun
        worked = psutil.Process(self.process.pid).cpu_times()
        self.cpu_s = worked.user + worked.system

    def until(self, look: Callable[[], object]) -> object:
        deadline = time.monotonic() + SESSION_S
        while not (found := look()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"it did not come: {self._said.read_text()[-500:]}")
            time.sleep(LOOK_S)
        return found

    def records(self) -> tuple[journal.Record, ...]:
        path = Path(str(self.dir)) / "journal.jsonl"
        return journal.read(path).records if path.exists() else ()

    def first(self, kind: type[events.Event]) -> journal.Record | None:
        return next((each for each in self.records() if isinstance(each.event, kind)), None)

    def order(self, order: IncidentOrder) -> locks.Reply:
        name = Path(str(self.dir)).name
        found = next(each for each in locks.running() if each.run == name)
        return asyncio.run(locks.send_order(found, locks.RunCommand("order", "script", order)))

    def end(self) -> int:
        return self.process.wait(SESSION_S)


def take_part(session: Session, drilled: LoadedDrill, well: Callable[[], object]) -> None:
    """Do what a good trainee does, and wait until it is `well`."""
    right = drilled.drill.hypotheses[0]
    orders = [IncidentOrder("ack"), IncidentOrder("declare", text=right), IncidentOrder("hint")]
    book = drilled.loaded.experiment.playbook or ""
    orders.append(IncidentOrder("act", step=1, playbook=book))
    orders.append(IncidentOrder("update", text="we are on it"))
    for order in orders:
        reply = session.order(order)
        assert reply.ok, reply.why
    session.until(well)
    for order in (IncidentOrder("mitigated"), IncidentOrder("resolved")):
        assert session.order(order).ok


def said(session: Session, words: str) -> bool:
    injects = journal.every(session.records(), events.DrillInject)
    return any(words in each.event.text for each in injects)


def tabletop(name: str, runs: Path) -> Outcome:
    session = Session(runs, [name, "--mode", "tabletop", "--window", "0s"])
    drilled = load_drill(name)
    alerts = drilled.loaded.experiment.expect.alerts
    session.until(lambda: said(session, f"{alerts[0].alert} fires"))
    take_part(session, drilled, lambda: said(session, "answered again"))
    return _outcome(name, "tabletop", session, 0.0)


def replay(name: str, runs: Path) -> Outcome:
    recorded = _recorded(name, runs)
    session = Session(runs, ["--replay", recorded.name])
    late_s = _LateLines(session)
    take_part(session, load_drill(name), lambda: late_s.look() or said(session, "is over"))
    has_fault = journal.first(
        journal.read(recorded / "journal.jsonl").records, events.FaultInjected
    )
    return _outcome(name, "replay", session, late_s.worst, has_fault=has_fault is not None)


def _recorded(name: str, runs: Path) -> Path:
    """A run of the experiment's short form."""
    before = set(runs.glob(f"*-{name}-*"))
    command = [*GAMEDAY, "run", name, "--short", "--runs", str(runs)]
    subprocess.run(command, capture_output=True, timeout=RUN_S, check=False)
    return next(iter(set(runs.glob(f"*-{name}-*")) - before))


class _LateLines:
    """How long after its instant each line of samples was there."""

    def __init__(self, session: Session) -> None:
        self._path = Path(str(session.dir)) / "samples.jsonl"
        self._read = 0
        self.worst = 0.0

    def look(self) -> bool:
        now_ns = time.monotonic_ns()
        for line in self._new():
            if "t" in line:
                self.worst = max(self.worst, (now_ns - line["t"]) / 1e9)
        return False

    def _new(self) -> Iterator[dict[str, int]]:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read)
            for raw in file:
                if not raw.endswith(b"\n"):
                    return
                self._read += len(raw)
                yield json.loads(raw)


def _outcome(
    name: str, mode: str, session: Session, late_s: float, *, has_fault: bool = True
) -> Outcome:
    code = session.end()
    records = session.records()
    wrong = []
    if code != 0:
        wrong.append(f"exit code {code}")
    kinds = [record.event.kind for record in records]
    if kinds[-2:] != ["drill.debriefed", "run.ended"]:
        wrong.append(f"it ended with {kinds[-2:]}")
    if "sealed" in kinds:
        wrong.append("something is sealed after the debrief")
    planned = journal.first(records, events.DrillPlanned)
    declared = [each.event for each in journal.every(records, events.OrderGiven)
                if each.event.order == "declare"]  # fmt: skip
    if planned is None or not declared or declared[0].text not in planned.event.right:
        wrong.append("what was declared is not what was true")
    truth = [each.event.what for each in journal.every(records, events.DrillTruth)]
    if "injected" not in truth and has_fault:
        wrong.append(f"the truth has {truth}")
    is_busy = session.cpu_s < READY_S / 2  # then it waited for others on this machine
    if mode == "replay" and session.ready_s > READY_S and not is_busy:
        wrong.append("not ready in time")
    if late_s > LATE_S:
        wrong.append("samples came late")
    return Outcome(name, mode, session.ready_s, session.cpu_s, late_s, "; ".join(wrong))


def shipped() -> list[str]:
    """The experiments that say how they are drilled."""
    return [path.stem for path in all_experiments() if has_drill(load(path))]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--only", choices=["tabletop", "replay"])
    asked = parser.parse_args()
    bad = 0
    modes = {"tabletop": tabletop, "replay": replay}
    with tempfile.TemporaryDirectory() as folder:
        for name in asked.names or shipped():
            for mode in [asked.only] if asked.only else modes:
                try:
                    one = modes[mode](name, Path(folder))
                except (AssertionError, StopIteration) as error:
                    one = Outcome(name, mode, 0.0, 0.0, 0.0, str(error) or "no run was left")
                bad += bool(one.wrong)
                figures = f"ready after {one.ready_s:.2f} s ({one.cpu_s:.2f} s of work)"
                figures += f", samples {one.late_s:.3f} s late at most"
                print(f"{name:24} {mode:9} {figures}; wrong: {one.wrong or 'nothing'}", flush=True)
    print(f"{bad} sessions with something wrong")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
