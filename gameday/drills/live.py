"""A live drill: a real run with a real fault, of which nobody is told.

What the run works with is disguised (`disguise`), what a trainee must not read is sealed, and this
watches beside the run: a fault stays until somebody has said that it is mitigated and the
objectives have held again for 5 s, at most as long as the drill says; the session is over when the
all-clear was given and nothing is broken any more.
"""

import asyncio
import secrets
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, get_args

from gameday.core.clock import NS, Clock
from gameday.core.errors import GamedayError, UsageError
from gameday.core.messages import Message
from gameday.core.units import seconds
from gameday.drills.disguise import Disguised, disguised, stretched
from gameday.drills.scenario import SessionPlan, Setting, draw, scenario
from gameday.drills.session import Asked, Session
from gameday.evidence import events
from gameday.evidence.journal import Journal, Record
from gameday.evidence.sealed_box import Box
from gameday.run.context import Run
from gameday.run.locks import RunCommand
from gameday.run.responder.orders import Heard
from gameday.spec.drill import Role
from gameday.spec.inputs import (
    Inputs,
    LoadedDrill,
    LoadedSystem,
    gather,
    has_drill,
    load_drill,
    load_playbook,
)
from gameday.spec.playbook import Playbook
from gameday.spec.shipped import all_experiments, all_playbooks
from gameday.spec.system import System
from gameday.spec.yaml import load
from gameday.telemetry.catalogue import key
from gameday.telemetry.failures import filled, steady_state

HELD_S: Final = 5.0  # objectives hold for so long: one good reading is chance
LOOK_S: Final = 1.0  # readings come once a second
AFTER_S: Final = 3.0  # of traffic after the all-clear, so that the last answers are seen
MOST_SEED: Final = 2**62
"""The seed says when the fault comes: large enough that nobody tries them all."""


def drawn_seed() -> int:
    """A seed that nobody knows."""
    return secrets.randbelow(MOST_SEED)


def surprise(seed: int) -> str:
    """One of the experiments that something pages for.

    Of those that say how they are drilled, if there are any.
    """
    found = [(str(path), written) for path, written in _candidates()]
    written = [path for path, is_written in found if is_written]
    names = written or [path for path, _ in found]
    if not names:
        raise UsageError("there is no experiment to draw from", help="name one")
    return names[int(draw(seed, "surprise") * len(names))]


def _candidates() -> Iterator[tuple[object, bool]]:
    for path in all_experiments():
        try:
            document = load(path)
            experiment = load_drill(str(path), 0).loaded.experiment
        except GamedayError:
            continue  # `validate` tells of it
        if experiment.method and experiment.expect.alerts and experiment.playbook:
            yield path, has_drill(document)


class LiveDrill:
    """The drill of one run, from its plan to its debrief."""

    def __init__(
        self, drilled: LoadedDrill, system: LoadedSystem, setting: Setting, clock: Clock
    ) -> None:
        """Raises FileError for what is wrong with a file."""
        plan = scenario(drilled, system, setting)
        found = _disguised(drilled, plan, setting, system.system.semantics.units)
        self.box = Box.new()
        self.mitigated = asyncio.Event()
        self.real = found.real
        self.scenarios = found.scenarios
        self.inputs = _inputs(drilled, system, found)
        self.playbooks = _offered(self.inputs, system.system)
        offered = [book.head.name for book in self.playbooks]
        plan = plan.renamed(found.names)
        self.scenario: SessionPlan = replace(plan, started=replace(plan.started, playbooks=offered))
        self.hypotheses = self.scenario.started.hypotheses
        self._clock = clock
        self._session: Session | None = None
        self._joined: set[str] = set()
        self._journal: Journal | None = None
        self._mitigated_ns: int | None = None
        self._resolved_ns: int | None = None
        self._begun_ns: int | None = None
        self._begun: set[str] = set()
        self._out: set[str] = set()
        first_s = min((seconds(each.at) for each in drilled.loaded.experiment.method), default=0.0)
        self._window_end_s = first_s + setting.window_s

    def begin(self, journal: Journal) -> None:
        """Journal what the session is, and listen from here on."""
        self.scenario.write(journal)
        self._journal = journal
        self._session = Session(journal, self._clock, self.scenario)
        journal.listeners.append(lambda record: self._heard(record, journal))

    @property
    def is_begun(self) -> bool:
        """True once there is a run, in whose journal something is sealed."""
        return self._journal is not None

    def tasks(self, run: Run) -> Sequence[Coroutine[Any, Any, None]]:
        """Work of the session: what is said in it, and the watch for its end."""
        return [self._talk(run), self._watch(run)]

    def hint(self, by: str) -> Message:
        return Message("order.no_hint") if self._session is None else self._session.hint(by)

    def join(self, by: str, role: str) -> Heard:
        if self._journal is None or role not in get_args(Role):
            return Heard(
                ok=False, why=Message("drill.no_role", known=", ".join(get_args(Role))).text()
            )
        self._joined.add(by)
        self._journal.write(events.DrillJoined(by=by, role=role))
        return Heard(ok=True)

    def command(self, command: RunCommand, by: str) -> Heard | None:
        if self._session is None:
            return None
        asked = Asked(
            cmd=command.cmd, by=by, number=command.number, to=command.to, text=command.text
        )
        return self._session.command(asked)

    def _heard(self, record: Record, journal: Journal) -> None:
        if self._session is not None:
            self._session.heard(record)
        match record.event:
            case events.OrderGiven() as order:
                self._note_order(order, record.t_ns)
                if order.through == "person":
                    self._join(order.by, journal)
            case events.DrillJoined(by=by):
                self._joined.add(by)
            case events.FaultEvent() as fault:
                self._note_fault(fault, record.t_ns)
            case _:
                pass

    def _note_order(self, order: events.OrderGiven, t_ns: int) -> None:
        if order.order == "mitigated":
            self._mitigated_ns = t_ns
        if order.order == "resolved":
            self._resolved_ns = t_ns

    def _note_fault(self, fault: events.FaultEvent, t_ns: int) -> None:
        absent = isinstance(fault, events.FaultDosed) and fault.injected == "no"
        absent = absent and fault.id not in self._begun  # it could not be made
        if isinstance(fault, events.FaultInjecting):
            self._begun.add(fault.id)
        if isinstance(fault, events.FaultInjecting) or absent:
            self._begun_ns = self._begun_ns or t_ns
        if isinstance(fault, events.FaultProven) or absent:
            self._out.add(fault.id)

    def _join(self, by: str | None, journal: Journal) -> None:
        """Note who takes part, with their first order."""
        if by and by not in self._joined:
            self._joined.add(by)
            journal.write(events.DrillJoined(by=by, role=self.scenario.started.role))

    async def _talk(self, run: Run) -> None:
        if self._session is None:
            return
        alerting = asyncio.create_task(self._alert(run, self._session))
        try:
            await self._session.work()
        finally:
            alerting.cancel()

    async def _alert(self, run: Run, session: Session) -> None:
        await run.incident.alerted.wait()
        session.alert()

    async def _watch(self, run: Run) -> None:
        """Let the faults out when they are mitigated, and end the run after the all-clear."""
        while not self._is_over(run):
            await run.readings.next(LOOK_S)
            if not self.mitigated.is_set() and self._holds(run):
                self.mitigated.set()
        await run.clock.sleep(AFTER_S)
        run.abort("completed", "the all-clear was given, and nothing is broken")

    def _holds(self, run: Run) -> bool:
        """True if it was said to be mitigated, and every objective has held since for `HELD_S`."""
        now_ns = run.clock.now_ns()
        if not has_waited(now_ns, self._mitigated_ns, self._begun_ns):
            return False
        # Half a period more, so that as many evaluations lie in it as there are seconds.
        seen = run.readings.between(now_ns - int((HELD_S + 0.5) * NS), now_ns)
        names = [key("objective", one.name) for one in steady_state(run.experiment)]
        enough = len(seen) >= HELD_S - 1
        return enough and all(each.readings.get(name) is True for each in seen for name in names)

    def _is_over(self, run: Run) -> bool:
        """True once the all-clear was given, and the faults are out or none came at all.

        Who gives it while the fault is in is believed, and scored for it. Where nothing comes an
        all-clear counts from the end of the window on: until then something may come.
        """
        if self._resolved_ns is None:
            return False
        if not run.experiment.method:
            return self._resolved_ns >= run.at_ns(self._window_end_s)
        ids = {fault.id or fault.fault for fault in run.experiment.method}
        if self.mitigated.is_set():
            ids = self._begun  # none begins any more
        began_ns = self._begun_ns
        return began_ns is not None and self._resolved_ns >= began_ns and ids <= self._out


def has_waited(now_ns: int, said_ns: int | None, begun_ns: int | None) -> bool:
    """True if it was said to be mitigated `HELD_S` ago, and the fault had begun by then.

    What was said before there was anything to mitigate is to be said again.
    """
    if said_ns is None or begun_ns is None or said_ns < begun_ns:
        return False
    return now_ns - said_ns >= HELD_S * NS


def _disguised(drilled: LoadedDrill, plan: SessionPlan, setting: Setting, units: int) -> Disguised:
    experiment = stretched(
        filled(drilled.loaded.experiment),
        fault_at_s=plan.planned.fault_at_s,
        window_s=setting.window_s,
        lasts_s=plan.planned.lasts_s,
        units=units,
    )
    # The seed of the traffic stands in its history: it must not give away that of the drill.
    return disguised(experiment, int(draw(plan.planned.seed, "traffic") * 2**52))


def _inputs(drilled: LoadedDrill, system: LoadedSystem, found: Disguised) -> Inputs:
    """The files of the run; the experiment is the disguised one, its bytes those of the file."""
    inputs = gather(drilled.loaded, system)
    shown = replace(drilled.loaded, experiment=found.shown)
    return replace(inputs, experiment=shown)


def _offered(inputs: Inputs, system: System) -> Sequence[Playbook]:
    """Every playbook whose actions the system has; among them the one that answers the fault."""
    own = None if inputs.playbook is None else inputs.playbook.playbook
    books = {} if own is None else {own.head.name: own}
    for path in all_playbooks():
        try:
            book = load_playbook(path).playbook
        except GamedayError:
            continue  # `validate` tells of it
        books.setdefault(book.head.name, book)
    can = {*system.actions, *system.scale}
    return [
        books[name].among_others()
        for name in sorted(books)
        if books[name] is own or _actions(books[name]) <= can
    ]


def _actions(book: Playbook) -> set[str]:
    blocks = [step.block for step in book.steps]
    return {name for block in blocks for name in (block.do, block.undo) if name is not None}
