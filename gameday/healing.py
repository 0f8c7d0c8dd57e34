"""Taking out by hand what a run may have left behind: `gameday heal`.

Needs nothing but a journal. Every undo that was journaled and not seen to be done is done
again; doing it twice is harmless, and names that are not the run's own are never touched.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Literal, NamedTuple

from gameday import effects, journal
from gameday.changes import Undo
from gameday.clock import Clock, SystemClock, boot_id
from gameday.effects import process
from gameday.effects.manner import Manner, Tell
from gameday.errors import GamedayError


@dataclass(frozen=True, slots=True)
class Healed:
    """One undo: what it was, whether it reads back as gone (None: nothing can tell), and why."""

    what: str
    gone: bool | None
    why: str


class Left(NamedTuple):
    """One undo that may still be due, and what it belongs to: a fault, a step, a stack's part."""

    owner: Literal["fault", "step", "part"]
    name: str
    undo: Undo


def left_behind(records: Sequence[journal.Record]) -> list[Left]:
    """What may still be active: announced, and not seen gone. Faults first, the stack last."""
    faults: dict[str, list[Undo]] = {}
    parts: list[Left] = []
    steps: dict[int, Undo] = {}
    for record in records:
        data = record.data
        match record.event:
            case "fault.injecting":
                faults[data["id"]] = [Undo.from_json(u) for u in data["undo"]]
            case "fault.escalated" if data["id"] in faults:
                faults[data["id"]] += [Undo.from_json(u) for u in data["undo"]]
            case "fault.removed" if data["gone"] is True:
                faults.pop(data["id"], None)
            case "step.started" if data.get("undo"):
                steps[data["step"]] = Undo.from_json(data["undo"])
            case "step.done" if data["undoing"] and data["status"] == "done":
                steps.pop(data["step"], None)
            case "stack.starting":
                parts += [Left("part", data["name"], Undo.from_json(u)) for u in data["undo"]]
            case _:
                pass
    found = [Left("fault", name, undo) for name, undos in faults.items() for undo in undos]
    found += [Left("step", str(n), undo) for n, undo in sorted(steps.items(), reverse=True)]
    return found + ([] if _stopped(records) else list(reversed(parts)))


def _stopped(records: Sequence[journal.Record]) -> bool:
    """Whether the run came to its end, and said of no part of its stack that it stayed."""
    return any(r.event == "run.ended" for r in records) and not any(
        r.data.get("left") for r in records if r.event == "phase"
    )


def is_under_way(run_dir: Path) -> bool:
    """Whether the controller of the run is alive: then what is there is there on purpose."""
    started = next((r for r in _records(run_dir) if r.event == "run.started"), None)
    controller = started.data.get("controller") if started is not None else None
    if controller is None or any(r.event == "run.ended" for r in _records(run_dir)):
        return False
    return bool(process.start_time(int(controller["pid"])) == controller["start_time"])


def _records(run_dir: Path) -> Sequence[journal.Record]:
    return journal.read(run_dir / "journal.jsonl").records


async def heal(run_dir: Path, environment: Mapping[str, str]) -> list[Healed]:
    """Undo what a run left behind, and read back whether it is gone.

    What can be looked at is looked at each time. A step's undo is a request, whose answer is all
    there is: one that was answered is not sent again, to a system that others may use by now.
    What was done is written to the first `healed-<n>.jsonl` that does not exist yet.
    """
    records, others = _records(run_dir), done_later(run_dir)
    answered = _steps_taken_back(records, others)
    own_stack = any(record.event == "stack.starting" for record in records)
    book = Book(run_dir, "healed", SystemClock())
    due = _due(records, others)
    healed = []
    for left in due:
        if left.owner == "step" and (own_stack or left.name in answered):
            why = "taken back before, or gone with the run's own stack"
            healed.append(Healed(_shown(left), gone=True, why=why))
            continue
        manner = Manner(tell=book.telling(left.name), refused_s=0)
        healed.append(await take_back(left, environment, manner))
        if left.owner == "step" and healed[-1].gone is not False:
            book.write("step.done", step=int(left.name), undoing=True, status="done")
    _note_pressed(due, healed, book)
    book.close()
    return healed


def _note_pressed(due: Sequence[Left], healed: Sequence[Healed], book: "Book") -> None:
    """Write down which faults are out with all that pressing them had put at risk."""
    before = [left.name for left in due if _is_pressed(left)]
    gone = dict.fromkeys([*before, *(record.data["id"] for record in book.pressed)], True)
    for left, one in zip(due, healed, strict=True):
        if left.owner == "fault" and left.name in gone:
            gone[left.name] = gone[left.name] and one.gone is True
    for name, whole in gone.items():
        book.write("fault.removed", id=name, gone=whole)


def _due(records: Sequence[journal.Record], others: Sequence[journal.Record]) -> list[Left]:
    """What to look at. What only pressing put at risk is left alone once that fault was out."""
    pressed = [record for record in others if record.event == "fault.escalated"]
    out = {}
    for record in [*records, *others]:
        if record.event in ("fault.escalated", "fault.removed"):
            out[record.data["id"]] = record.data.get("gone") is True
    return [
        left
        for left in left_behind([*records, *pressed])
        if not (_is_pressed(left) and out.get(left.name))
    ]


def _is_pressed(left: Left) -> bool:
    """Whether this takes back a step of the removal, and not the fault itself."""
    return left.owner == "fault" and left.undo.kind == "proxy" and "was" not in left.undo.data


def _steps_taken_back(
    records: Sequence[journal.Record], others: Sequence[journal.Record]
) -> set[str]:
    """The steps whose undo was answered, to the reaper or to an earlier healing.

    A controller that woke up after the reaper may have done the step once more: that one counts.
    """
    began = {
        r.data["step"]: r.t_ns
        for r in records
        if r.event == "step.started" and not r.data.get("undoing")
    }
    return {
        str(r.data["step"])
        for r in others
        if r.event == "step.done" and r.data.get("undoing") and r.data.get("status") == "done"
        if r.t_ns > began.get(r.data["step"], 0)
    }


def done_later(run_dir: Path) -> list[journal.Record]:
    """What the reaper and earlier healings did, in that order."""
    found: list[journal.Record] = []
    numbered = sorted(run_dir.glob("healed-*.jsonl"), key=lambda p: (len(p.name), p.name))
    for path in [run_dir / "reaper.jsonl", *numbered]:
        if path.exists():
            found += journal.read(path).records
    return found


async def take_back(
    left: Left, environment: Mapping[str, str], manner: Manner | None = None
) -> Healed:
    """Undo one, and read back whether it is gone."""
    try:
        await effects.undo(left.undo, environment, manner)
        gone = await effects.read_back(left.undo, environment)
    except GamedayError as error:
        why = f"{error.message}; {error.help}" if error.help else error.message
        return Healed(_shown(left), gone=False, why=why)
    if gone is None:
        return Healed(_shown(left), gone=None, why="the request was answered as expected")
    return Healed(_shown(left), gone=gone, why="" if gone else "it still reads back as there")


class Book:
    """What was undone from outside of the run, in the journal's format.

    Made when there is something to write, as `<name>-<n>.jsonl` or `<name>.jsonl`: a file has one
    writer. What cannot be written keeps nothing in place.
    """

    def __init__(self, run_dir: Path, name: str, clock: Clock, *, numbered: bool = True) -> None:
        self._run_dir = run_dir
        self._name = name
        self._clock = clock
        self._numbered = numbered
        self._journal: journal.Journal | None = None
        self.pressed: list[journal.Record] = []
        """The steps of stuck removals, whether or not they could be written."""

    def write(self, event: str, **data: Any) -> None:
        """Append a record, as far as the disk allows."""
        try:
            if self._journal is None:
                self._journal = self._open()
            self._journal.write(event, **data)
        except OSError as error:
            sys.stderr.write(f"{self._name}: {event} {data} cannot be written: {error}\n")

    def telling(self, id_: str) -> Tell:
        """What writes down the steps of a removal that is stuck, of the fault `id_`."""

        async def tell(step: str, why: str, undos: Sequence[Undo]) -> None:
            listed = [undo.as_json() for undo in undos]
            data = {"id": id_, "step": step, "why": why, "undo": listed}
            self.pressed.append(
                journal.Record(0, self._clock.now_ns(), "fault.escalated", "all", data)
            )
            self.write("fault.escalated", **data)

        return tell

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()

    def _open(self) -> journal.Journal:
        clock_id = boot_id()[:8] or "host"
        path = self._run_dir / f"{self._name}.jsonl"
        for n in count(1) if self._numbered else ():
            path = self._run_dir / f"{self._name}-{n}.jsonl"
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
                break
            except FileExistsError:
                continue
        return journal.Journal(path, self._clock, clock_id)


def _shown(left: Left) -> str:
    data = left.undo.data
    what = left.name if left.owner == "part" else f"{left.owner} {left.name}"
    return f"{what}: {left.undo.kind} {data.get('name') or data.get('path') or ''}".strip()
