"""A session without a system: a run directory and a control socket, and nothing behind them.

Replay and tabletop have this in common. People find it as any run (`gameday incident`), and it
leaves what any drill leaves: a journal that was sealed until the debrief, and its inputs. It ends
when the all-clear is given, the facilitator debriefs, somebody ends it, or its time is over.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, get_args

from gameday import __version__
from gameday.core.clock import NS, Clock, boot_id, boottime_ns, wall_time_ns
from gameday.core.errors import UnknownError, UsageError
from gameday.core.files.private import make_folder, state_dir
from gameday.core.messages import Message
from gameday.core.processes.deadlines import cancelled
from gameday.core.secrets.signing import read_or_make_key
from gameday.drills.hands import ActEnd, AskedAct, DetachedHands, detached_hands
from gameday.drills.scenario import SessionPlan
from gameday.drills.session import Asked, Session
from gameday.evidence import events, seal, sealed_inputs
from gameday.evidence.journal import JOURNAL_FILE, Journal, LiveJournal, Record
from gameday.evidence.sealed_box import Box
from gameday.injection.process.process import record as process_record
from gameday.run import hold
from gameday.run.context import Abort
from gameday.run.control_socket import ControlSocket, signals
from gameday.run.readings import Readings
from gameday.run.responder.incident import Incident
from gameday.run.responder.orders import Heard
from gameday.run.run_dir import new_run_id, write_offered
from gameday.spec.drill import Role
from gameday.spec.experiment import Experiment
from gameday.spec.playbook import Playbook
from gameday.spec.system import System

if TYPE_CHECKING:
    from gameday.run.context import Run
    from gameday.run.locks import RunCommand

NAME: Final = "drill"
LAST_WORDS_S: Final = 5.0  # for what is being written when a session ends
Begun = Callable[[Path, Box], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """All that a session begins with; `inputs` are the files of the run of an id, by their names.

    They are sealed until the debrief. Its t = 0 comes `lead_s` of the plan after its beginning.
    """

    runs_dir: Path
    plan: SessionPlan
    real: Experiment
    system: System
    books: Sequence[Playbook]
    inputs: Callable[[str], Mapping[str, bytes]]
    speed: float = 1.0
    lead_s: float = 0.0
    box: Box = field(default_factory=Box.new)


class Detached:
    """A session under way. `seconds` counts from its t = 0, in the time of the plan.

    It stands in for the hooks that a drill adds to a run (`run.drill`): the control socket asks it
    for the facilitator's token and gives it his commands.
    """

    def __init__(self, opening: Opening, clock: Clock) -> None:
        self.opening = opening
        self.clock = clock
        self.id = new_run_id(NAME)
        self.dir = _folder(opening.runs_dir, self.id)
        self.abort = Abort()
        self.box = opening.box
        self.real = opening.real
        self.scenarios: Sequence[str] = [*opening.real.traffic]
        self.playbooks = opening.books
        self.hypotheses = opening.plan.started.hypotheses
        self.mitigated = asyncio.Event()
        self.resolved = asyncio.Event()
        self.journal: Journal = self._journal()
        self._joined: set[str] = set()
        self.t0_ns = clock.now_ns()
        self.readings = Readings(clock)
        self.hands: DetachedHands = detached_hands(
            opening.system, opening.books, self.readings, self.journal, clock
        )
        self.session = Session(self.journal, clock, opening.plan, speed=opening.speed)
        self.control = ControlSocket(self.id, self.journal, self.abort, self)
        self.incident = Incident(self.hands, lambda why: self.control.end("operator", why))
        self.incident.hints = self.hint
        self.incident.hypotheses = self.hypotheses
        self.journal.listeners += [self.session.heard, self._heard]

    def end_acts_by(self, end_of: Callable[[AskedAct], ActEnd]) -> None:
        """Ask `end_of` for the end of each act."""
        self.hands.end_of = end_of

    def begin(self, journal: Journal) -> None:
        """Journal what the session is, and its t = 0."""
        controller = process_record(os.getpid(), "gameday drill").as_json()
        journal.write(
            events.RunStarted(
                run=self.id,
                controller=controller,
                experiment=NAME,
                stack=self.opening.plan.started.mode,
                allowed=[],
                seed=None,
                wall_ns=wall_time_ns(),
                boottime_ns=boottime_ns(),
                boot_id=boot_id(),
                inputs={},
                gameday=__version__,
                masked=events.MASKED,
            )
        )
        self.opening.plan.write(journal)
        lead_ns = round(self.opening.lead_s / self.opening.speed * NS)
        self.t0_ns = self.clock.now_ns() + lead_ns
        journal.write(events.Phase(phase="traffic", t0_ns=self.t0_ns))

    def tasks(self, run: "Run") -> Sequence[Coroutine[Any, Any, None]]:
        """No run is beside it."""
        return ()

    def hint(self, by: str) -> Message:
        """The answer to somebody who asks for a hint."""
        return self.session.hint(by)

    def join(self, by: str, role: str) -> Heard:
        """Note that somebody takes part, in a role of the team."""
        if role not in get_args(Role):
            known = ", ".join(get_args(Role))
            return Heard(ok=False, why=Message("drill.no_role", known=known).text())
        self._joined.add(by)
        self.journal.write(events.DrillJoined(by=by, role=role))
        return Heard(ok=True)

    def command(self, command: "RunCommand", by: str) -> Heard | None:
        """Do what the facilitator orders."""
        asked = Asked(
            cmd=command.cmd, by=by, number=command.number, to=command.to, text=command.text
        )
        return self.session.command(asked)

    def truth(self, what: str, fault: str = "", text: str | None = None) -> None:
        """Journal what is so, for the facilitator."""
        self.journal.write(events.DrillTruth(what=what, fault=fault, text=text), "facilitator")

    def seconds(self) -> float:
        """The time of the plan since t = 0, at a table without the pauses."""
        paused_ns = self.session.paused_ns(self.t0_ns) if self.session.stops else 0
        return (self.clock.now_ns() - self.t0_ns - paused_ns) / NS * self.opening.speed

    async def until(self, at_s: float) -> None:
        """Wait for an instant of the plan, counted from t = 0."""
        await self.clock.sleep(self._left_s(at_s))
        while self.session.stops and self._left_s(at_s):
            await self.session.going()
            await self.clock.sleep(self._left_s(at_s))

    def _left_s(self, at_s: float) -> float:
        return max(0.0, at_s - self.seconds()) / self.opening.speed

    async def hold(self, work: Coroutine[Any, Any, None], end_s: float) -> None:
        """Do the mode's `work` until the session ends, at `end_s` of the plan at the latest."""
        ending = [self.abort.event.wait(), self.resolved.wait(), self.until(end_s)]
        ends = [asyncio.create_task(one) for one in ending]
        beside = [*self.incident.tasks(), self.session.work(), work]
        working = [asyncio.create_task(one) for one in beside]
        try:
            await _first(ends, working)
        finally:
            self.incident.close()
            await cancelled(*ends, *working)
        if not self.abort.event.is_set():
            said = self.resolved.is_set()
            self.abort("completed", "the all-clear was given" if said else "its time is over")

    def debrief(self) -> None:
        """Tell the key: from here on everybody may read what was so."""
        if self.journal.box is not None:
            self.journal.box = None
            self.journal.write(events.DrillDebriefed(key=self.box.text))

    def _heard(self, record: Record) -> None:
        match record.event:
            case events.OrderGiven(order="resolved"):
                self.resolved.set()
            case events.OrderGiven(order="mitigated"):
                self.mitigated.set()
            case _:
                pass
        if isinstance(record.event, events.OrderGiven):
            self._join(record.event)

    def _join(self, order: events.OrderGiven) -> None:
        """Note who takes part, with their first order."""
        if order.by and order.by not in self._joined:
            self._joined.add(order.by)
            role = self.opening.plan.started.role
            self.journal.write(events.DrillJoined(by=order.by, role=role))

    def _journal(self) -> Journal:
        clock_id = boot_id()[:8] or "host"
        path = self.dir / JOURNAL_FILE
        journal = LiveJournal(path, self.clock, clock_id, self._cannot_write)
        journal.key = read_or_make_key(state_dir())
        journal.box = self.box
        return journal

    def _cannot_write(self, why: str) -> None:
        self.abort("interrupted", why)


@asynccontextmanager
async def detached(opening: Opening, clock: Clock, begun: Begun) -> AsyncIterator[Detached]:
    """A session that is found by other terminals; on leaving it is debriefed and sealed.

    Raises UsageError where no run can be written, UnknownError where its journal could not.
    """
    hold.refuse()
    one = Detached(opening, clock)
    sealed_inputs.pack(one.dir, one.box, opening.inputs(one.id))
    write_offered(one.dir, opening.books)
    one.begin(one.journal)
    with signals(one.control, _leave):
        await one.control.open(opening.runs_dir)
        one.control.run = one
        try:
            begun(one.dir, one.box)
            yield one
        except BaseException as error:
            one.abort("error", repr(error))
            raise
        finally:
            _end(one)
    if one.journal.problem:
        raise UnknownError(one.journal.problem, help="make room, and begin again")


def _end(one: Detached) -> None:
    """Nobody is heard any more; the last records, and the files as those of any run."""
    one.abort.over = True
    one.control.close()
    one.debrief()
    try:
        sealed_inputs.unpack(one.dir, one.box)
    except (OSError, ValueError) as error:
        one.journal.write(events.Phase(phase="inputs", problem=str(error)))
    sums = seal.sums(one.dir)
    one.journal.write(events.RunEnded(ended=one.abort.ended, why=one.abort.why, evidence=sums))
    one.journal.close()


def _folder(runs_dir: Path, run: str) -> Path:
    try:
        folder = make_folder(runs_dir / run)
        for name in ("history", "logs"):
            (folder / name).mkdir()
    except OSError as error:
        problem = f"no run can be written to {runs_dir}: {error.strerror}"
        raise UsageError(problem, help="make room, or name another folder: --runs DIR") from error
    return folder


async def _first(
    ends: "Sequence[asyncio.Task[Any]]", working: "Sequence[asyncio.Task[Any]]"
) -> None:
    """Wait for the first end; raise what one of the working has raised before it."""
    waiting: set[asyncio.Task[Any]] = {*ends, *working}
    while not any(each.done() for each in ends):
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()


def _leave() -> NoReturn:
    """Leave at once: nothing is broken that somebody would have to mend."""
    os._exit(130)
