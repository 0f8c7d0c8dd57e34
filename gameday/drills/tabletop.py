"""The tabletop: an incident that is only told, with no system at all.

What a system would show is said: the alerts that the experiment expects, when they would fire, and
what a step of a playbook would bring about. All else is for the facilitator to say. Once a step
that takes the cause away was worked, or people say that it is mitigated where no playbook answers
it, the system is told to be well again.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gameday.core.clock import Clock
from gameday.core.messages import Message
from gameday.core.units import seconds
from gameday.drills.detached import Begun, Detached, Opening, detached
from gameday.drills.scenario import SessionPlan, Setting, scenario_of
from gameday.drills.told_hands import Act, Told
from gameday.evidence import events
from gameday.evidence.journal import Record
from gameday.run.responder.hands import StepOutcome
from gameday.spec.inputs import (
    Inputs,
    LoadedDrill,
    LoadedSystem,
    all_playbooks,
    gather,
    load_playbook,
)
from gameday.spec.playbook import Playbook
from gameday.spec.yaml import read_bytes
from gameday.telemetry.alerts.rules import load_rules

RECOVERS_S: Final = 30.0  # of the plan, from what has helped
ENDS_S: Final = 60.0  # for the all-clear, once the fault has lasted as long as it may
FIRES_EARLY: Final = 0.6  # of the time within which an alert is to fire


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What is played, and how fast."""

    drilled: LoadedDrill
    system: LoadedSystem
    runs_dir: Path
    setting: Setting


def offered_playbooks() -> list[Playbook]:
    """All playbooks, as a drill offers them."""
    return [load_playbook(path).playbook.among_others() for path in all_playbooks()]


async def tabletop(table: Table, clock: Clock, begun: Begun) -> Path:
    """Play it to its end; the run directory."""
    inputs = gather(table.drilled.loaded, table.system)
    plan = scenario_of(table.drilled, inputs, table.setting)
    alerts = _alerts(inputs, plan, table.setting.language)
    books = offered_playbooks()
    opening = Opening(
        runs_dir=table.runs_dir,
        plan=replace(plan, injects=[*plan.injects, *alerts]),
        real=inputs.experiment.experiment,
        system=table.system.system,
        books=books,
        inputs=raw_inputs(inputs),
        speed=table.setting.speed,
    )
    async with detached(opening, clock, begun) as session:
        telling = _Telling(session, plan, {alert.number for alert in alerts})
        session.tell_acts(telling.tell)
        fault_s = plan.planned.fault_at_s
        ends_s = (fault_s or 0.0) + plan.planned.lasts_s + ENDS_S
        await session.hold(telling.work(), ends_s)
    return session.dir


def raw_inputs(inputs: Inputs) -> dict[str, bytes]:
    """The files of a session by their names below `inputs/`."""
    raws = {"experiment.yaml": inputs.experiment.raw, "system.yaml": inputs.system.raw}
    if inputs.playbook is not None:
        raws["playbook.md"] = inputs.playbook.raw
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
        said = Message("drill.fires", alert=alert.alert, summary="" if "{{" in summary else summary)
        at_s = round(FIRES_EARLY * seconds(alert.fires_within), 3)
        text = said.text(language).strip()
        found.append(events.DrillInjectPlanned(number=number, to="all", text=text, at_s=at_s))
    return found


class _Telling:
    """What is so at a table, and what comes of acts."""

    def __init__(self, session: Detached, plan: SessionPlan, alerts: set[int]) -> None:
        self._session = session
        self._plan = plan
        self._alerts = alerts
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
        try:
            left_s = (planned.fault_at_s + planned.lasts_s - session.seconds()) / self._speed
            await asyncio.wait({helped}, timeout=max(0.0, left_s))
        finally:
            helped.cancel()
        for fault in planned.faults:
            session.truth("removed", fault)
        await session.until(session.seconds() + RECOVERS_S)
        session.truth("recovered")
        said = Message("drill.recovered").text()
        session.journal.write(events.DrillInject(to="all", text=said))
        await asyncio.Event().wait()

    def tell(self, act: Act) -> Told:
        """The end of an act: what the playbook says would be seen."""
        if act.step is None:
            return Told(StepOutcome("done", None, Message("drill.would_be_done")))
        if self._helps(act):
            self._helped.set()
        if act.action is None:
            return Told(StepOutcome("done", None, Message("drill.by_hand")))
        block = act.step.block
        if block.after is None or act.undoing:
            return Told(StepOutcome("done", None, Message("drill.would_be_done")))
        why = Message("drill.would_be_seen", after=block.after)
        return Told(StepOutcome("done", verified=True, why=why))

    @property
    def _speed(self) -> float:
        return self._session.opening.speed

    def _helps(self, act: Act) -> bool:
        """True for a step of the playbook that answers what is wrong."""
        step = act.step
        return step is not None and not act.undoing and step.book == self._plan.planned.playbook

    def _heard(self, record: Record) -> None:
        event = record.event
        if isinstance(event, events.DrillInject) and event.number in self._alerts:
            self._session.session.alert()
        without_book = self._plan.planned.playbook is None
        if without_book and isinstance(event, events.OrderGiven) and event.order == "mitigated":
            self._helped.set()
