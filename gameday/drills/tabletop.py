"""The tabletop: an incident that is only told, with no system at all.

What a system would show is said: the alerts that the experiment expects, when they would fire, and
what a step of a playbook would bring about. All else is for the facilitator to say. The system is
told to be well again once the step that takes the cause away was worked, or its action ordered;
where that is for a person, or no playbook answers, also once people say that it is mitigated.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from gameday.core import settings
from gameday.core.clock import Clock
from gameday.core.messages import Message
from gameday.core.processes.deadlines import cancelled
from gameday.core.units import seconds
from gameday.drills.detached import Begun, Detached, Opening, detached
from gameday.drills.hands import ActEnd, AskedAct
from gameday.drills.scenario import SessionPlan, Setting, scenario_of
from gameday.evidence import events
from gameday.evidence.effective import Effective, PlannedPlaybook
from gameday.evidence.journal import Record
from gameday.evidence.sealed_box import Box
from gameday.run.responder.hands import StepOutcome
from gameday.spec.inputs import Inputs, LoadedDrill, LoadedSystem, gather, load_playbook
from gameday.spec.playbook import Playbook, Step
from gameday.spec.shipped import all_playbooks
from gameday.spec.system import System
from gameday.spec.translations import translated
from gameday.spec.yaml import read_bytes
from gameday.telemetry.alerts.rules import load_rules
from gameday.traffic.forecast import traffic_end_s

RECOVERS_S: Final = 30.0  # of the plan, from what has helped
ENDS_S: Final = 60.0  # for the all-clear, once the fault has lasted as long as it may
FIRES_EARLY: Final = 0.6  # of the time within which an alert is to fire


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """An experiment that is to be played at a table, and its setting."""

    drilled: LoadedDrill
    system: LoadedSystem
    runs_dir: Path
    setting: Setting
    box: Box = field(default_factory=Box.new)


def offered_playbooks(system: System) -> list[Playbook]:
    """Every playbook whose actions the system has, as a drill offers them."""
    can = {*system.actions, *system.scale}
    books = [load_playbook(path).playbook for path in all_playbooks()]
    return [book.among_others() for book in books if _needs(book) <= can]


def offering(plan: SessionPlan, books: Sequence[Playbook]) -> SessionPlan:
    """The plan with the playbooks that are offered."""
    names = [book.head.name for book in books]
    return replace(plan, started=replace(plan.started, playbooks=names))


def helping_step(book: Playbook | None) -> Step | None:
    """The step that takes the cause away: the first that has to be done; None without one."""
    steps = () if book is None else book.among_others().steps
    return next((step for step in steps if not step.block.optional), None)


def _needs(book: Playbook) -> set[str]:
    blocks = [step.block for step in book.steps]
    return {name for block in blocks for name in (block.do, block.undo) if name is not None}


async def tabletop(table: Table, clock: Clock, begun: Begun) -> Path:
    """Play it to its end; the run directory."""
    inputs = gather(table.drilled.loaded, table.system)
    plan = scenario_of(table.drilled, inputs, table.setting)
    alerts = _alerts(inputs, plan, table.setting.language)
    books = offered_playbooks(table.system.system)
    plan = offering(plan, books)
    opening = Opening(
        runs_dir=table.runs_dir,
        plan=replace(plan, injects=[*plan.injects, *alerts]),
        real=inputs.experiment.experiment,
        system=table.system.system,
        books=books,
        inputs=lambda run: _files(run, inputs),
        speed=table.setting.speed,
        box=table.box,
    )
    async with detached(opening, clock, begun) as session:
        book = None if inputs.playbook is None else inputs.playbook.playbook
        happening = _Events(session, plan, {alert.number for alert in alerts}, helping_step(book))
        session.end_acts_by(happening.end_of)
        fault_s = plan.planned.fault_at_s
        latest_s = table.setting.window_s if fault_s is None else fault_s
        ends_s = latest_s + plan.planned.lasts_s + ENDS_S
        await session.hold(happening.work(), ends_s)
    return session.dir


def _files(run: str, inputs: Inputs) -> dict[str, bytes]:
    """The files of a session by their names below `inputs/`, and what they mean here."""
    experiment, book = inputs.experiment.experiment, inputs.playbook
    effective = Effective(
        run=run,
        stack="tabletop",
        seed=experiment.seed or 0,
        coupon=experiment.campaign.coupon,
        stock=experiment.campaign.stock,
        short=False,
        experiment=experiment,
        system=inputs.system.system,
        playbook=PlannedPlaybook.of(book.playbook) if book is not None else None,
        traffic_end_s=traffic_end_s(experiment),
        no_responder=False,
        responder="person",
        planned={},
    )
    raw = json.dumps(effective.as_json(), indent=1).encode()
    raws = {"experiment.yaml": inputs.experiment.raw, "system.yaml": inputs.system.raw}
    if inputs.playbook is not None:
        raws["playbook.md"] = inputs.playbook.raw
    raws["effective.json"] = raw + b"\n"
    return raws | {f"rules/{path.name}": read_bytes(path) for path in inputs.rules}


def _alerts(
    inputs: Inputs, plan: SessionPlan, language: str
) -> Sequence[events.DrillInjectPlanned]:
    """The alerts that the experiment expects, as they would be heard of."""
    summaries = {
        rule.alert: dict(rule.annotations).get("summary", "")
        for path in inputs.rules
        for rule in load_rules(path).alerts
    }
    first = len(plan.injects) + 1
    found = []
    for number, alert in enumerate(inputs.experiment.experiment.expect.alerts, start=first):
        summary = summaries.get(alert.alert, "")
        summary = "" if "{{" in summary else translated(summary, language)
        said = Message("drill.fires", alert=alert.alert, summary=summary)
        at_s = round(FIRES_EARLY * seconds(alert.fires_within), 3)
        text = said.text(language).strip()
        found.append(events.DrillInjectPlanned(number=number, to="all", text=text, at_s=at_s))
    return found


class _Events:
    """The course of a tabletop: its truth, and the ends of acts."""

    def __init__(
        self, session: Detached, plan: SessionPlan, alerts: set[int], helping: Step | None
    ) -> None:
        self._session = session
        self._plan = plan
        self._alerts = alerts
        self._helping = helping
        self._helped = asyncio.Event()
        session.journal.listeners.append(self._heard)

    async def work(self) -> None:
        """The fault, and the recovery once something has helped, or it has lasted long enough."""
        session, planned = self._session, self._plan.planned
        if planned.fault_at_s is None:
            await asyncio.Event().wait()
            return
        await session.until(planned.fault_at_s)
        for fault in planned.faults:
            session.truth("injected", fault)
        session.truth("damage")
        helped = asyncio.create_task(self._helped.wait())
        over = asyncio.create_task(session.until(planned.fault_at_s + planned.lasts_s))
        try:
            await asyncio.wait({helped, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancelled(helped, over)
        for fault in planned.faults:
            session.truth("removed", fault)
        await session.until(session.seconds() + RECOVERS_S)
        session.truth("recovered")
        session.session.say(Message("drill.recovered").text(settings.language()))
        await asyncio.Event().wait()

    def end_of(self, act: AskedAct) -> ActEnd:
        """The end of an act: what the playbook says would be seen."""
        if self._helps(act):
            self._helped.set()
        if act.step is None:
            return ActEnd(StepOutcome("done", None, Message("drill.would_be_done")))
        if act.action is None:
            return ActEnd(StepOutcome("done", None, Message("drill.by_hand")))
        block = act.step.block
        if block.after is None or act.undoing:
            return ActEnd(StepOutcome("done", None, Message("drill.would_be_done")))
        why = Message("drill.would_be_seen", after=block.after)
        return ActEnd(StepOutcome("done", verified=True, why=why))

    def _helps(self, act: AskedAct) -> bool:
        """True for what takes the cause away: its action in any way, else its step by hand."""
        helping = self._helping
        if helping is None or act.undoing:
            return False
        if helping.block.do is not None:
            return act.action == helping.block.do
        return act.step is not None and act.step.name == helping.name

    def _heard(self, record: Record) -> None:
        event = record.event
        if isinstance(event, events.DrillInject) and event.number in self._alerts:
            self._session.session.alert()
        by_hand = self._helping is None or self._helping.block.do is None
        if by_hand and isinstance(event, events.OrderGiven) and event.order == "mitigated":
            self._helped.set()
