"""Taking out by hand what a run may have left behind: `gameday heal`.

Needs nothing but a journal. Every undo that was journaled and not seen to be done is done
again; doing it twice is harmless, and names that are not the run's own are never touched.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from gameday import effects, journal
from gameday.changes import Undo
from gameday.effects import process
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
    """Undo what a run left behind, and read back whether it is gone."""
    records = _records(run_dir)
    steps_gone = _own_stack(records) or _reaped(run_dir / "reaper.jsonl")
    return [
        Healed(_shown(left), gone=True, why="taken back before, or gone with the run's own stack")
        if left.owner == "step" and steps_gone
        else await take_back(left, environment)
        for left in left_behind(records)
    ]


def _own_stack(records: Sequence[journal.Record]) -> bool:
    """Whether the run started its stack, which is taken down whole, what steps changed with it."""
    return any(record.event == "stack.starting" for record in records)


def _reaped(path: Path) -> bool:
    """Whether the reaper has undone it all."""
    records = journal.read(path).records if path.exists() else ()
    return bool(records) and records[-1].event == "reaper.ended" and not records[-1].data["left"]


async def take_back(left: Left, environment: Mapping[str, str]) -> Healed:
    """Undo one, and read back whether it is gone."""
    try:
        await effects.undo(left.undo, environment)
        gone = await effects.read_back(left.undo, environment)
    except GamedayError as error:
        return Healed(_shown(left), gone=False, why=error.message)
    if gone is None:
        return Healed(_shown(left), gone=None, why="the request was answered as expected")
    return Healed(_shown(left), gone=gone, why="" if gone else "it still reads back as there")


def _shown(left: Left) -> str:
    data = left.undo.data
    what = left.name if left.owner == "part" else f"{left.owner} {left.name}"
    return f"{what}: {left.undo.kind} {data.get('name') or data.get('path') or ''}".strip()
