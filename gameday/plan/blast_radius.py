"""The blast radius: what a run will touch, for how long, and what takes it back.

Everything here is computed from the files and from the records the faults themselves return; no
sentence is kept anywhere else, so that the plan cannot differ from what is done.
"""

from dataclasses import dataclass, replace

from gameday.core.messages import Message
from gameday.core.units import format_duration, seconds
from gameday.plan.rules.deadlines import fault_of, recovers_s
from gameday.plan.traffic_size import evidence_bytes, peak_per_s
from gameday.spec.changes import Change, CommandChange, NetworkChange
from gameday.spec.experiment import ExpectedAlert, ExpectedLog, Experiment
from gameday.spec.failures import Failures
from gameday.spec.inputs import Inputs
from gameday.spec.playbook import Step
from gameday.spec.system import System
from gameday.traffic.forecast import expected_starts, sell_out_s, traffic_end_s


@dataclass(frozen=True, slots=True)
class Touch:
    """One change of one fault; times from the start of the traffic."""

    fault: str
    kind: str
    on: str
    at_s: float
    until_s: float
    what: str
    undone_by: str
    change: Change


@dataclass(frozen=True, slots=True)
class Act:
    """One step of the playbook: its action, and what takes it back ("" where nothing does).

    `does_it` and `undone_by_it` say both in any language; None where a person acts, or nothing.
    """

    step: int
    text: str
    does: str
    undone_by: str
    does_it: Message | None = None
    undone_by_it: Message | None = None


@dataclass(frozen=True, slots=True)
class Deadline:
    """An alert that must fire; instants from the start of the traffic if all goes as planned."""

    alert: str
    fires_by_s: float
    resolves_by_s: float | None


@dataclass(frozen=True, slots=True)
class Blast:
    """The blast radius of one run. Times are seconds from the start of the traffic."""

    experiment: str
    title: str
    short: bool
    seed: int | None
    address: str
    coupon: str
    stock: int | None
    users: int
    requests: int
    peak_per_s: float
    length_s: float
    whole_s: float
    sold_out_s: float | None
    touches: tuple[Touch, ...]
    playbook: str
    acts: tuple[Act, ...]
    alerts: tuple[Deadline, ...]
    logs: tuple[str, ...]
    guards: tuple[str, ...]
    failures_above: float | None
    recovers_within_s: float | None
    recovers_by_s: float | None
    evidence_bytes: int


BY_PERSON = "a person acts"
START_S = 5.0
"""About what the embedded stack takes to be up."""


def blast(inputs: Inputs, system: System, address: str, *, starts: bool) -> Blast:
    """The blast radius of a run on that system; `address` says where the traffic goes, in words."""
    loaded, experiment = inputs.experiment, inputs.experiment.experiment
    within = experiment.expect.recovers_within
    book = None if inputs.playbook is None else inputs.playbook.playbook
    return Blast(
        experiment=experiment.name,
        title=experiment.title,
        short=loaded.short,
        seed=experiment.seed,
        address=address,
        coupon=experiment.campaign.coupon,
        stock=experiment.campaign.stock,
        users=experiment.campaign.users,
        requests=round(expected_starts(experiment)),
        peak_per_s=peak_per_s(experiment),
        length_s=traffic_end_s(experiment),
        whole_s=(START_S if starts else 0.0) + traffic_end_s(experiment) + _quiet_s(system),
        sold_out_s=sell_out_s(experiment, system.semantics),
        touches=touches(experiment, system),
        playbook="" if book is None else book.head.name,
        acts=tuple(_act(step, system) for step in (book.steps if book is not None else ())),
        alerts=tuple(_deadline(experiment, alert) for alert in experiment.expect.alerts),
        logs=tuple(log_in_words(each) for each in experiment.expect.logs),
        guards=tuple(
            f"{guard.expr}, for {format_duration(guard.for_)}" for guard in experiment.abort_if
        ),
        failures_above=(
            experiment.failures.above if isinstance(experiment.failures, Failures) else None
        ),
        recovers_within_s=None if within is None else within.total_seconds(),
        recovers_by_s=recovers_s(experiment),
        evidence_bytes=evidence_bytes(experiment),
    )


def log_in_words(log: ExpectedLog) -> str:
    """One expectation of the service's logs, as `show` and `plan` tell it."""
    bounds = [f"at least {log.needed}"] if log.needed else []
    bounds += (
        [] if log.at_most is None else ["none" if log.at_most == 0 else f"at most {log.at_most}"]
    )
    means = [f"'{log.pattern}'"] if log.pattern else []
    means += [f"{key} '{value}'" for key, value in log.fields.items()]
    since = "" if log.from_ == "injection" else f" of the {log.from_}"
    if log.within is not None:
        when = f"within {format_duration(log.within)}{since}"
    else:
        when = "in all of the traffic" if log.from_ == "start" else f"from then on{since}"
    return f"{log.name}: {' and '.join(bounds)} of {', '.join(means)}, {when}"


def _quiet_s(system: System) -> float:
    """The least that a drain takes, or the wait instead of one; none where nothing is audited."""
    if not system.issues:
        return 0.0
    return seconds(system.settle if system.drain is None else system.drain.for_)


def touches(experiment: Experiment, system: System) -> tuple[Touch, ...]:
    """Every change of every fault, in the order in which they begin."""
    return tuple(
        Touch(
            fault=str(fault.id),
            kind=fault.fault,
            on=fault.on,
            at_s=seconds(fault.at),
            until_s=seconds(fault.at + fault.duration),
            what=change.message().text(),
            undone_by=change.undone_by().text(),
            change=change,
        )
        for fault in sorted(experiment.method, key=lambda fault: fault.at)
        for change in (_as_the_system_says(each, system) for each in fault.changes())
    )


def _as_the_system_says(change: Change, system: System) -> Change:
    """The same with what the system file knows: Toxiproxy's name of a proxy, a command's argv."""
    if isinstance(change, CommandChange) and (known := system.commands.get(change.name)):
        checked = known.check is not None
        return replace(change, run=tuple(known.run), undo=tuple(known.undo), checked=checked)
    if not isinstance(change, NetworkChange):
        return change
    return replace(change, proxy=system.proxy_of(change.proxy))


def _act(step: Step, system: System) -> Act:
    does, undo = (_request(each, system) for each in (step.block.do, step.block.undo))
    return Act(
        step.number,
        step.text,
        does.text() if does else BY_PERSON,
        undo.text() if undo else "",
        does,
        undo,
    )


def _request(action: str | None, system: System) -> Message | None:
    """An action by its name, with the request it is where the system file has it."""
    if action is None:
        return None
    if action in system.scale:
        count = system.scale[action]
        return Message("plan.scale_one" if count == 1 else "plan.scale", action=action, n=count)
    found = system.actions.get(action)
    if found is None:
        return Message("plan.action", action=action)
    return Message("plan.request", action=action, method=found.method, path=found.path)


def _deadline(experiment: Experiment, alert: ExpectedAlert) -> Deadline:
    fault = fault_of(experiment, alert)
    if fault is None:
        raise ValueError(f"alert {alert.alert}: no fault {alert.of!r}")  # validated before
    resolves = None
    if alert.resolves_within is not None:
        removed = seconds(fault.at + fault.duration)
        since = max(removed, recovers_s(experiment) or removed)
        resolves = since + seconds(alert.resolves_within)
    return Deadline(alert.alert, seconds(fault.at + alert.fires_within), resolves)
