"""Taking out by hand what a run may have left behind: `gameday heal`.

Needs nothing but a journal. Every undo that was journaled and not seen to be done is done
again; doing it twice is harmless, and names that are not the run's own are never touched. Whose
records count is said by `provenance`: those that the user's own key has signed, or those of a run
that somebody vouches for.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Final, Literal, NamedTuple

from gameday.core.clock import Clock, SystemClock, boot_id
from gameday.core.errors import GamedayError, UsageError
from gameday.core.secrets.redaction import MASK, Hidden, nothing, telling
from gameday.core.secrets.signing import SigningKey
from gameday.evidence import events, journal
from gameday.evidence.provenance import Provenance
from gameday.evidence.sealed_box import Box
from gameday.injection import server_instance
from gameday.injection.drivers import Drivers, toxic
from gameday.injection.process import process
from gameday.injection.removal_proof import State
from gameday.injection.undo_policy import OnEscalation, UndoPolicy
from gameday.spec.undo_fields import secret_names
from gameday.spec.undos import (
    CommandUndo,
    FolderUndo,
    NetworkUndo,
    ProcessUndo,
    ProxyUndo,
    RequestUndo,
    ToxicUndo,
    Undo,
)

MOST_PIDS = 2**31

_WITH_STACK = "it ends with the run's own stack, which is not seen to be gone"
_NOT_SIGNED = "not done: it is a command, and you have not signed this run: run its undo yourself"
_MASKED = (
    "its journal, of an older gameday, does not tell its name (***): look for it yourself; toxics "
    "are named gameday-<run>-<number>"
)


@dataclass(frozen=True, slots=True)
class Healed:
    """One undo: what it was, whether it is proven gone (None: nothing can tell), and why.

    `answered`: the undo of a step is a request, and its answer is all that there is to know.
    """

    what: str
    gone: bool | None
    why: str
    answered: bool = False

    @property
    def settled(self) -> bool:
        """True if nothing more is to be done about it."""
        return self.gone is True or self.answered


Owner = Literal["fault", "step", "action", "responder", "part"]
ACTS: Final = frozenset({"step", "action"})
"""Owners of requests: their undo's answer is all there is, and they end with an own stack."""


class Left(NamedTuple):
    """One undo that may still be due, and what it belongs to: a fault, a step, a stack's part.

    An `action` is what a responder did outside of the playbook; the program that responds is one
    itself.
    `masked`: a journal of before masked names as it did texts, and this record is no longer what
    it was; whoever followed it would look for another thing.
    """

    owner: Owner
    name: str
    undo: Undo
    masked: bool = False


_Acts = dict[tuple[Owner, str], list[Undo]]
"""The undos of each step and action, one for each time that it may have been done."""
AUTOSCALER: Final = 0
"""The step, as it were, that the autoscaler does; those of a playbook are numbered from 1."""


def left_behind(records: Sequence[journal.Record]) -> list[Left]:
    """Changes that may still be active: announced, and not seen gone. Faults first, the stack last.

    A journal's reader has looked at what the records are made of, so this never raises.
    """
    found = _left_behind(records)
    if any(r.event.masked == events.MASKED for r in journal.every(records, events.RunStarted)):
        return found
    return [left._replace(masked=MASK in json.dumps(left.undo.as_json())) for left in found]


def _left_behind(records: Sequence[journal.Record]) -> list[Left]:
    faults: dict[str, list[Undo]] = {}
    parts: list[Left] = []
    acts: _Acts = {}
    programs: list[Left] = []
    for record in records:
        match record.event:
            case events.FaultInjecting(id=id_, undo=undos):
                faults[id_] = [*undos]
            case events.FaultEscalated(id=id_, undo=undos) if id_ in faults:
                faults[id_] += undos
            case events.FaultRemoved(id=id_, gone=True):
                faults.pop(id_, None)
            case events.StackStarting(name=name, undo=undos):
                parts += [Left("part", name, undo) for undo in undos]
            case events.ResponderLaunched(undo=undos):
                programs += [Left("responder", "program", undo) for undo in undos]
            case _:
                _note_act(acts, record.event)
    found = [Left("fault", name, undo) for name, several in faults.items() for undo in several]
    found += [Left(owner, name, undos[-1]) for (owner, name), undos in reversed(acts.items())]
    return found + ([] if _stopped(records) else programs + list(reversed(parts)))


def _note_act(acts: _Acts, event: events.Event) -> None:
    """Add what a step or an action may do, or take out what it did not do, or was taken back.

    In the order in which they were done first, as those who did them take them back. One that was
    done, and found needless when it was tried again, is still to be taken back.
    """
    match event:
        case events.StepStarted(undo=Undo() as undo):
            acts.setdefault(("step", _step_name(event)), []).append(undo)
        case events.StepDone(status="done", undoing=True):
            acts.pop(("step", _step_name(event)), None)
        case events.StepDone(undoing=False, may_have_acted=False):
            _forget_newest(acts, ("step", _step_name(event)))
        case events.ActionStarted(do=name, undo=Undo() as undo):
            acts.setdefault(("action", name), []).append(undo)
        case events.ActionDone(do=name, status="done", undoing=True):
            acts.pop(("action", name), None)
        case events.AutoscalerScaling(undo=Undo() as undo):
            acts.setdefault(("step", str(AUTOSCALER)), []).append(undo)
        case events.AutoscalerScaled(back=True, why=None):
            acts.pop(("step", str(AUTOSCALER)), None)
        case _:
            pass


def _forget_newest(acts: _Acts, act: tuple[Owner, str]) -> None:
    """Take out the last time that it was begun; those before it stay."""
    if act in acts:
        acts[act].pop()
        if not acts[act]:
            del acts[act]


def taken_back(left: Left) -> events.Event:
    """The event of a step or an action that was taken back from outside of the run."""
    if left.owner == "action":
        return events.ActionDone(left.name, "done", undoing=True)
    book, _, number = left.name.rpartition(":")
    return events.StepDone(int(number), "done", undoing=True, playbook=book or None)


def _step_name(event: events.StepStarted | events.StepDone) -> str:
    """The number of a step, after its playbook where several were offered."""
    return f"{event.playbook}:{event.step}" if event.playbook else str(event.step)


def _stopped(records: Sequence[journal.Record]) -> bool:
    """True if the run came to its end, and no component of its stack stayed."""
    return journal.first(records, events.RunEnded) is not None and not any(
        r.event.left for r in journal.every(records, events.Phase)
    )


def is_under_way(run_dir: Path) -> bool:
    """True if a run says that it is under way, by its own word, which anybody may have written."""
    try:
        return controller_lives(journal.read(run_dir / "journal.jsonl").records)
    except OSError:
        return False


def controller_lives(records: Sequence[journal.Record]) -> bool:
    """True if the controller of the run is alive: then its changes are there on purpose."""
    started = journal.first(records, events.RunStarted)
    if started is None or journal.first(records, events.RunEnded) is not None:
        return False
    return process_lives(started.event)


def process_lives(started: events.RunStarted) -> bool:
    """True if the process that a run began with is alive."""
    controller = started.controller
    if controller is None:
        return False
    pid, began = controller.get("pid"), controller.get("start_time")
    return type(pid) is int and 0 < pid < MOST_PIDS and process.start_time(pid) == began


@dataclass(frozen=True, slots=True)
class Healer:
    """Options of healing a run: its secrets, and the key that signs what was done.

    `may` is asked before each undo, and says why it must not be done; "" where it may be. Where it
    `presses`, a removal that is stuck may touch more than the fault itself. `runs_commands` where
    this user has signed the records.
    """

    environment: Mapping[str, str]
    key: SigningKey | None = None
    may: Callable[[Left], str] = lambda left: ""
    presses: bool = True
    runs_commands: bool = False


async def heal(run: Provenance, healer: Healer) -> list[Healed]:
    """Undo what a run left behind, and read back whether it is gone.

    What can be looked at is looked at each time. A step's undo is a request, whose answer is all
    there is: one that was answered is not sent again, to a system that others may use by now.
    What was done is written to the first `healed-<n>.jsonl` that does not exist yet.
    """
    answered = _taken_back_before(run.journal, run.later)
    own_stack = journal.first(run.journal, events.StackStarting) is not None
    book = Book(run.dir, "healed", SystemClock(), healer.key)
    due, drivers = _due(run.journal, run.later), Drivers()
    book.hide = hidden([left.undo for left in due], healer.environment)
    healed: list[Healed] = []
    for left in due:
        if left.owner in ACTS and (left.owner, left.name) in answered:
            healed.append(Healed(label(left), gone=True, why="taken back before"))
            continue
        if left.owner in ACTS and own_stack:
            healed.append(Healed(label(left), gone=None, why=_WITH_STACK))
            continue
        if why := await _gone_with_stack(left.undo):
            healed.append(Healed(label(left), gone=True, why=why))
            continue
        if isinstance(left.undo, CommandUndo) and not healer.runs_commands:
            healed.append(Healed(label(left), gone=None, why=_NOT_SIGNED))
            continue
        if why := healer.may(left):
            healed.append(Healed(label(left), gone=None, why=why))
            continue
        policy = UndoPolicy(book.on_escalation(left.name), escalate=healer.presses, refused_s=0)
        healed.append(await take_back(left, healer.environment, policy, drivers))
        if left.owner in ACTS and healed[-1].answered:
            book.write(taken_back(left))
    _note_out(run, due, healed, book)
    book.close()
    return _steps_end_with_stack(due, healed)


async def _gone_with_stack(undo: Undo) -> str:
    """Proof in words that the containers which were asked are gone, "" without one.

    Looked for before anything is sent: somebody else may have their addresses by now.
    """
    match undo:
        case NetworkUndo() | RequestUndo():
            return await server_instance.gone_with(undo.project)
        case _:
            return ""


def _steps_end_with_stack(due: Sequence[Left], healed: Sequence[Healed]) -> list[Healed]:
    """Results where a step's change to a stack of the run's own is gone once that stack is."""
    parts = [one for left, one in zip(due, healed, strict=True) if left.owner == "part"]
    ended = all(one.gone for one in parts)
    return [
        replace(one, gone=True, why="gone with the run's own stack")
        if one.why == _WITH_STACK and ended
        else one
        for one in healed
    ]


def foreign_due(run: Provenance) -> list[Left]:
    """Changes that are due by records which nobody here has signed, as far as can be told.

    Nothing that they name is asked; what is of this machine and is not there is left out.
    """
    told = [*run.foreign, *run.foreign_later, *run.later]
    return [left for left in left_behind(told) if not is_gone_here(left.undo)]


def is_gone_here(undo: Undo) -> bool:
    """True if a process or a folder is not there, which looking at this machine tells."""
    match undo:
        case FolderUndo():
            return not os.path.lexists(undo.path)
        case ProcessUndo():
            return process.start_time(undo.pid) != undo.start_time
        case _:
            return False


def _note_out(run: Provenance, due: Sequence[Left], healed: Sequence[Healed], book: "Book") -> None:
    """Write down which faults are out, with all that pressing them had put at risk.

    One that was not pressed, and is known to be out from an earlier time, is not noted again.
    """
    known = {r.event.id for r in journal.every(run.later, events.FaultRemoved) if r.event.gone}
    pressed = {left.name for left in due if _is_pressed(left)}
    pressed |= {record.event.id for record in book.pressed}
    parts: dict[str, list[bool | None]] = {}
    for left, one in zip(due, healed, strict=True):
        if left.owner == "fault":
            parts.setdefault(left.name, []).append(one.gone)
    for name, several in parts.items():
        gone = all_gone(several)
        if name in pressed or (gone and name not in known):
            book.write(events.FaultRemoved(id=name, gone=gone))


def all_gone(parts: Sequence[bool | None]) -> bool | None:
    """True if all of it is gone, False when some of it is there, None when that is not known."""
    if False in parts:
        return False
    return None if None in parts else True


def _due(records: Sequence[journal.Record], others: Sequence[journal.Record]) -> list[Left]:
    """Changes to look at. What only pressing put at risk is left alone once the fault was out."""
    pressed = journal.every(others, events.FaultEscalated)
    out = {}
    for record in [*records, *others]:
        match record.event:
            case events.FaultEscalated(id=id_):
                out[id_] = False
            case events.FaultRemoved(id=id_, gone=gone):
                out[id_] = gone is True
            case _:
                pass
    return [
        left
        for left in left_behind([*records, *pressed])
        if not (_is_pressed(left) and out.get(left.name))
    ]


def _is_pressed(left: Left) -> bool:
    """True if this takes back a step of the removal, and not the fault itself."""
    return left.owner == "fault" and isinstance(left.undo, ProxyUndo) and left.undo.was is None


def _taken_back_before(
    records: Sequence[journal.Record], others: Sequence[journal.Record]
) -> set[tuple[Owner, str]]:
    """The steps and actions whose undo was answered, to the reaper or to an earlier healing.

    A controller that woke up after the reaper may have done one once more: that one counts.
    """
    began = {
        _act_of(r.event): r.t_ns
        for r in records
        if isinstance(r.event, events.StepStarted | events.ActionStarted) and not r.event.undoing
    }
    return {
        _act_of(r.event)
        for r in others
        if isinstance(r.event, events.StepDone | events.ActionDone)
        if r.event.undoing and r.event.status == "done"
        if r.t_ns > began.get(_act_of(r.event), 0)
    }


def _act_of(
    event: events.StepStarted | events.StepDone | events.ActionStarted | events.ActionDone,
) -> tuple[Owner, str]:
    """The owner and the name of what an event is about."""
    if isinstance(event, events.ActionStarted | events.ActionDone):
        return "action", event.do
    return "step", _step_name(event)


async def take_back(
    left: Left, environment: Mapping[str, str], policy: UndoPolicy, drivers: Drivers
) -> Healed:
    """Undo one, and read back whether it is gone. Never raises: the others have their turn."""
    healed = await _take_back(left, environment, policy, drivers)
    if not healed.why:
        return healed
    return replace(healed, why=hidden([left.undo], environment)(healed.why))


def hidden(undos: Iterable[Undo], environment: Mapping[str, str]) -> Hidden:
    """A mask for the answers of servers, which may quote any secret that undoing these can use."""
    found = telling({**os.environ, **environment})
    if named := {each for undo in undos for each in secret_names(undo.as_json())}:
        # Not at the top: undoing that needs no secret loads no models.
        from gameday.injection.drivers.request import secret
        from gameday.spec.request import FromEnv, FromFile

        for kind, name in named:
            with suppress(UsageError):  # what nobody can find, nobody quotes
                reference = FromEnv(env=name) if kind == "env" else FromFile(file=name)
                found.append(secret(reference, environment))
    return Hidden(found)


async def _take_back(
    left: Left, environment: Mapping[str, str], policy: UndoPolicy, drivers: Drivers
) -> Healed:
    if left.masked:
        return Healed(label(left), gone=None, why=_MASKED)
    try:
        await drivers.undo(left.undo, environment, policy)
        gone, why = await drivers.look(left.undo, environment)
        if gone and isinstance(left.undo, ToxicUndo):
            other = await toxic.elsewhere(left.undo)
            moved = State(gone=False, why=f"somebody has moved it: it is on proxy {other!r}")
            gone, why = moved if other else (gone, why)
    except GamedayError as error:
        why = f"{error.message}; {error.help}" if error.help else error.message
        return Healed(label(left), gone=None, why=why)
    except Exception as error:  # noqa: BLE001 - a rollback must survive anything
        return Healed(label(left), gone=None, why=f"unknown: {type(error).__name__}: {error}")
    if isinstance(left.undo, RequestUndo) and not gone:
        why = "the request was answered as expected"
        return Healed(label(left), gone=None, why=why, answered=True)
    return Healed(label(left), gone, why)


class Book:
    """Journal of undos from outside of the run, in the run journal's format.

    Made when there is something to write, as `healed-<n>.jsonl` or `reaper.jsonl`: a file has one
    writer. Signed where there is a key, and sealed where there is a box. What cannot be written
    keeps nothing in place.
    """

    def __init__(
        self, run_dir: Path, name: Literal["healed", "reaper"], clock: Clock, key: SigningKey | None
    ) -> None:
        self._run_dir = run_dir
        self._name = name
        self._clock = clock
        self._key = key
        self._journal: journal.Journal | None = None
        self.box: Box | None = None
        self.hide: Callable[[str], str] = nothing
        self.pressed: list[journal.RecordOf[events.FaultEscalated]] = []
        """The steps of stuck removals, whether or not they could be written."""

    def write(self, event: events.Event) -> None:
        """Append a record, as far as the disk allows."""
        try:
            if self._journal is None:
                self._journal = self._open()
            self._journal.hide, self._journal.box = self.hide, self.box
            self._journal.write(event)
        except OSError as error:
            sys.stderr.write(f"{self._name}: {event} cannot be written: {error}\n")

    def on_escalation(self, id_: str) -> OnEscalation:
        """A callback that writes down the steps of a stuck removal, of the fault `id_`."""

        async def on_escalation(step: str, why: str, undos: Sequence[Undo]) -> None:
            event = events.FaultEscalated(id_, step, why, undos)
            self.pressed.append(journal.RecordOf(0, self._clock.now_ns(), event))
            self.write(event)

        return on_escalation

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()

    def _open(self) -> journal.Journal:
        clock_id = boot_id()[:8] or "host"
        path = self._run_dir / f"{self._name}.jsonl"
        for n in count(1) if self._name == "healed" else ():
            path = self._run_dir / f"{self._name}-{n}.jsonl"
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
                break
            except FileExistsError:
                continue
        book = journal.Journal(path, self._clock, clock_id)
        book.key = self._key
        return book


def label(left: Left) -> str:
    """One undo in a few words."""
    what = left.name if left.owner == "part" else f"{left.owner} {left.name}"
    return f"{what}: {left.undo.kind} {left.undo.thing}".strip()
