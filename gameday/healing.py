"""Taking out by hand what a run may have left behind: `gameday heal`.

Needs nothing but a journal. Every undo that was journaled and not seen to be done is done
again; doing it twice is harmless, and names that are not the run's own are never touched.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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


def left_behind(records: Sequence[journal.Record]) -> list[tuple[str, Undo]]:
    """What may still be active: announced, and not seen gone. Faults first, the stack last."""
    faults: dict[str, list[Undo]] = {}
    parts: list[tuple[str, Undo]] = []
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
                parts += [(data["name"], Undo.from_json(u)) for u in data["undo"]]
            case _:
                pass
    found = [(f"fault {name}", undo) for name, undos in faults.items() for undo in undos]
    found += [(f"step {number}", undo) for number, undo in sorted(steps.items(), reverse=True)]
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
    return [
        await _undo(what, undo, environment, own_stack=_own_stack(records))
        for what, undo in left_behind(records)
    ]


def _own_stack(records: Sequence[journal.Record]) -> bool:
    """Whether the run started its stack, which is taken down whole, what steps changed with it."""
    return any(record.event == "stack.starting" for record in records)


async def _undo(
    what: str, undo: Undo, environment: Mapping[str, str], *, own_stack: bool
) -> Healed:
    shown = f"{what}: {undo.kind} {undo.data.get('name') or undo.data.get('path') or ''}".strip()
    if undo.kind == "request" and own_stack:
        return Healed(shown, gone=True, why="it goes with the stack that the run started")
    try:
        await effects.undo(undo, environment)
        gone = await effects.read_back(undo)
    except GamedayError as error:
        return Healed(shown, gone=False, why=error.message)
    if gone is None:
        return Healed(shown, gone=None, why="the request was answered as expected")
    return Healed(shown, gone=gone, why="" if gone else "it still reads back as there")
