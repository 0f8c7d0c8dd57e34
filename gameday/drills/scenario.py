"""The scenario of a session: what is true in it, and what is offered, hinted and said.

It is made of an experiment's file and a seed, and of nothing else. What the file's `drill:` leaves
out is made from the rest of it: decoys are what other shipped experiments break in the same system,
the severity follows from the kind of fault, hints from the expected alert, the target and the
playbook. Every choice is a function of (seed, purpose, index).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from gameday.core import settings
from gameday.core.errors import GamedayError
from gameday.core.messages import Message, templates
from gameday.evidence.drill_events import (
    DrillHintPlanned,
    DrillInjectPlanned,
    DrillPlanned,
    DrillStarted,
)
from gameday.evidence.event import Event
from gameday.evidence.journal import Audience, Journal
from gameday.spec.drill import Hint
from gameday.spec.experiment import Experiment
from gameday.spec.faults import Fault
from gameday.spec.hypotheses import same
from gameday.spec.inputs import Inputs, LoadedDrill, LoadedSystem, gather, load_experiment
from gameday.spec.shipped import all_experiments, all_playbooks

__all__ = [
    "Mode",
    "SessionPlan",
    "Setting",
    "draw",
    "fault_instant_s",
    "scenario",
    "scenario_of",
]

Mode = Literal["live", "replay", "tabletop"]
DECOYS: Final = 4  # with the right one, as many as are read at a glance
SEVERITIES: Final = ("sev1", "sev2", "sev3", "sev4", "sev5")
QUESTIONS: Final = ("first", "sure", "slower", "missing", "next")
# What is asked is not answered at all; all other faults that are felt make it slow.
_DOWN: Final = frozenset(
    {
        *("network.timeout", "network.down", "network.flap", "network.partition"),
        *("network.reset_peer", "network.limit_data", "redis.memory", "redis.restart"),
        *("postgres.connections", "postgres.kill_backends", "redis.evict"),
        *("service.kill", "service.pause", "service.restart", "service.memory", "command.run"),
    }
)
_UNFELT: Final = frozenset({"network.slow_close", "redis.expire"})
_HINTS_AFTER_S: Final = (60.0, 150.0, 300.0)
_HINTS_COST: Final = (0.05, 0.10, 0.15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Settings of a session: how it is held, and what is drawn for it."""

    mode: Mode
    window_s: float = 0.0
    maybe_nothing: float = 0.0
    speed: float = 1.0
    language: str = field(default_factory=settings.language)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPlan:
    """The plan of a session: its own records, in their order in the journal."""

    started: DrillStarted
    planned: DrillPlanned
    hints: Sequence[DrillHintPlanned] = ()
    injects: Sequence[DrillInjectPlanned] = ()

    def events(self) -> Iterator[tuple[Event, Audience]]:
        """Each with whom it is for."""
        yield self.started, "all"
        for event in (self.planned, *self.hints, *self.injects):
            yield event, "facilitator"

    def write(self, journal: Journal) -> None:
        """Journal all of it."""
        for event, audience in self.events():
            journal.write(event, audience)

    def renamed(self, names: Mapping[str, str]) -> "SessionPlan":
        """The same with the file's own names by those that the drill shows in their place."""
        return replace(self, planned=replace(self.planned, names=dict(names)))


def draw(seed: int, purpose: str, index: int = 0) -> float:
    """A number from 0 to below 1, which is a function of these three."""
    digest = hashlib.sha256(f"drill {seed} {purpose} {index}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def fault_instant_s(experiment: Experiment, setting: Setting) -> float | None:
    """Instant (s) of the first fault, from t = 0: in the window; None where nothing comes at all.

    It never comes before the file has it, so that what was usual before it is known.
    """
    seed = experiment.seed or 0
    if not experiment.method or draw(seed, "nothing") < setting.maybe_nothing:
        return None
    first_s = min(fault.at.total_seconds() for fault in experiment.method)
    return round(first_s + draw(seed, "fault") * setting.window_s, 3)


def scenario(drilled: LoadedDrill, system: LoadedSystem, setting: Setting) -> SessionPlan:
    """The scenario of a drill. Raises FileError where a file that the experiment names is gone."""
    return scenario_of(drilled, gather(drilled.loaded, system), setting)


def scenario_of(drilled: LoadedDrill, inputs: Inputs, setting: Setting) -> SessionPlan:
    """The same of files that were gathered before."""
    system = inputs.system
    experiment, drill = inputs.experiment.experiment, drilled.drill
    seed = experiment.seed or 0
    fault_at_s = fault_instant_s(experiment, setting)
    own, decoys = _hypotheses(drilled, inputs, setting)
    if fault_at_s is None and setting.maybe_nothing:
        nothing = [_say("drill.believed.nothing", setting)]
        own, decoys = nothing, [each for each in [*own, *decoys] if each not in nothing]
    hints = list(drill.hints) or _hints(inputs, setting)
    severity = drill.severity or _severity(experiment)
    questions = drill.debrief or [_say(f"drill.question.{each}", setting) for each in QUESTIONS]
    started = DrillStarted(
        mode=setting.mode,
        briefing=drill.briefing or _say("drill.briefing", setting, system=system.system.name),
        role=drill.role,
        window_s=setting.window_s,
        lasts_s=drill.lasts.total_seconds(),
        updates_every_s=drill.updates_every.total_seconds(),
        hypotheses=_shuffled([*own, *decoys], seed),
        severities=list(SEVERITIES),
        playbooks=[path.stem for path in all_playbooks()],
        hints=len(hints),
        speed=setting.speed,
    )
    planned = DrillPlanned(
        experiment=experiment.name,
        title=experiment.title,
        path=str(drilled.loaded.path),
        seed=seed,
        fault_at_s=fault_at_s,
        lasts_s=drill.lasts.total_seconds(),
        right=own,
        names={},
        decoys=decoys,
        severity=None if fault_at_s is None else severity,
        playbook=None if fault_at_s is None else experiment.playbook,
        faults=[]
        if fault_at_s is None
        else [f"{each.fault} {each.on}" for each in experiment.method],
        debrief=list(questions),
    )
    return SessionPlan(
        started=started,
        planned=planned,
        hints=[
            DrillHintPlanned(
                number=number, after_s=hint.after.total_seconds(), cost=hint.cost, text=hint.text
            )
            for number, hint in enumerate(hints, start=1)
        ],
        injects=[
            DrillInjectPlanned(
                number=number,
                to=inject.to,
                text=inject.text,
                at_s=None if inject.at is None else inject.at.total_seconds(),
                on=inject.on,
            )
            for number, inject in enumerate(drill.injects, start=1)
        ],
    )


def _say(id_: str, setting: Setting, **values: str) -> str:
    return Message(id_, **values).text(setting.language)


def _hypotheses(
    drilled: LoadedDrill, inputs: Inputs, setting: Setting
) -> tuple[list[str], list[str]]:
    """The right ones, and the decoys: the file's own, else made of the faults."""
    written = list(drilled.drill.hypotheses)
    nothing = [_say("drill.believed.nothing", setting)] if setting.maybe_nothing else []
    if written:
        return written[:1], written[1:] + [each for each in nothing if each not in written]
    experiment = inputs.experiment.experiment
    right = list(dict.fromkeys(believed(fault, setting) for fault in experiment.method))
    others = _others(experiment, inputs, setting)
    seed = experiment.seed or 0
    order = sorted(range(len(others)), key=lambda index: draw(seed, "decoy", index))
    decoys = [others[index] for index in order[:DECOYS]]
    return right or [_say("drill.believed.nothing", setting)], decoys + nothing


def believed(fault: Fault, setting: Setting) -> str:
    """A fault as somebody who has found it would say it."""
    return _say(f"drill.believed.{fault.fault}", setting, on=_name(fault.on, setting))


def _name(target: str, setting: Setting) -> str:
    return templates(setting.language).get(f"drill.name.{target}", target.capitalize())


def _others(experiment: Experiment, inputs: Inputs, setting: Setting) -> list[str]:
    """Faults of other experiments in the same system that show in another way, as sentences."""
    targets = {*inputs.system.system.proxies, "service", "traffic"}
    own = {_sort(fault) for fault in experiment.method}
    found: dict[str, None] = {}
    for path in all_experiments():
        try:
            faults = load_experiment(str(path), seed=0).experiment.method
        except GamedayError:
            continue  # `validate` tells of it
        for fault in faults:
            if fault.on in targets and _sort(fault) not in own and fault.fault not in _UNFELT:
                found[believed(fault, setting)] = None
    right = {believed(fault, setting) for fault in experiment.method}
    return sorted(each for each in found if not any(same(each, one) for one in right))


def _sort(fault: Fault) -> tuple[str, bool]:
    """Target of a fault, and whether it is down or slow: two of a sort are both half right."""
    return fault.on, fault.fault in _DOWN


def _severity(experiment: Experiment) -> str | None:
    """The rule: the service gone 1, something that it needs gone 2, slow 3, not felt 4."""
    if not experiment.method:
        return None
    return min(_severity_of(fault) for fault in experiment.method)


def _severity_of(fault: Fault) -> str:
    if fault.fault in _UNFELT:
        return "sev4"
    if fault.fault not in _DOWN:
        return "sev3"
    return "sev1" if fault.on == "service" else "sev2"


def _hints(inputs: Inputs, setting: Setting) -> list[Hint]:
    """Hints: which alert to look at, what it is about, and where the playbook begins."""
    experiment = inputs.experiment.experiment
    if not experiment.method:
        return []
    alerts = experiment.expect.alerts
    alert = (
        _say("drill.hint.alert", setting, alert=alerts[0].alert)
        if alerts
        else _say("drill.hint.no_alert", setting)
    )
    about = _say("drill.hint.target", setting, on=_name(experiment.method[0].on, setting))
    texts = [alert, about]
    book = None if inputs.playbook is None else inputs.playbook.playbook
    if book is not None and book.steps:
        step = " ".join(book.steps[0].text.split())
        texts.append(_say("drill.hint.step", setting, playbook=book.head.name, step=step))
    plan = zip(_HINTS_AFTER_S, _HINTS_COST, texts, strict=False)
    return [Hint.model_validate({"after": f"{after:g}s", "cost": cost, "text": text})
            for after, cost, text in plan]  # fmt: skip


def _shuffled(texts: Sequence[str], seed: int) -> list[str]:
    """The texts in an order of the seed."""
    order = sorted(range(len(texts)), key=lambda index: draw(seed, "order", index))
    return [texts[index] for index in order]
