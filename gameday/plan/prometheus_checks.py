"""A real Prometheus that a run is to be read from: whether it answers, knows what is read, in time.

A deadline can only be seen to be kept or missed by two samples, one on each side of it. So a
`within` shorter than two scrapes is refused, with its place.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from gameday.core.clock import NS, Clock
from gameday.core.errors import GamedayError, Place
from gameday.core.messages import Message
from gameday.core.units import format_duration, seconds
from gameday.injection.drivers.request import authorization
from gameday.plan.finding import Finding, from_error
from gameday.plan.rules.expressions import TRAFFIC_METRICS
from gameday.plan.service_checks import own_alerts
from gameday.spec.inputs import Inputs
from gameday.spec.server import Server
from gameday.spec.system import System
from gameday.spec.yaml import one_of_them
from gameday.telemetry import catalogue
from gameday.telemetry.promql import parse, value_of
from gameday.telemetry.sources.prometheus_api import (
    ApiAlert,
    ApiGroup,
    ApiTarget,
    Prometheus,
    PrometheusError,
)

NAME: Final = "prometheus"
ANSWER_S: Final = 5.0
FIRST_S: Final = 6.0  # it hands targets on every 5 s
SCRAPES: Final = 2
_SHOWN: Final = 3
_POLL_S: Final = 0.25
_CURE: Final = "is `prometheus` of the system file right? without it nothing is measured"


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found, and the longest interval between two scrapes of what is read."""

    findings: list[Finding] = field(default_factory=list)
    scrape_s: float = 1.0


async def look(
    inputs: Inputs, system: System, server: Server, environment: Mapping[str, str], clock: Clock
) -> Measured:
    """Everything that can be asked of it before the traffic."""
    try:
        headers = authorization(server, environment)
        client = Prometheus(server.url, headers, ANSWER_S, system.tls)
    except GamedayError as error:
        return Measured([from_error(NAME, error)])
    try:
        return await _look(inputs, system, client, clock)
    except PrometheusError as error:
        text = f"{server.url} cannot be read: {error.message}"
        return Measured([Finding(NAME, "fail", text, _CURE)])
    finally:
        await client.close()


async def _look(inputs: Inputs, system: System, client: Prometheus, clock: Clock) -> Measured:
    book = None if inputs.playbook is None else inputs.playbook.playbook
    read = list(catalogue.expressions(inputs.experiment.experiment, system, book))
    names = {name for each in read for name in parse(each.expr).metric_names()} - TRAFFIC_METRICS
    version, (_, blur_ns), groups, targets, alerts, known = await asyncio.gather(
        client.version(),
        client.clock_ahead_ns(clock),
        client.groups(),
        _targets(client, clock),
        client.alerts(),
        _known(client, names),
    )
    scrape_s = _longest(targets, known)
    findings = [
        *_deadlines(inputs, scrape_s),
        *_rules(inputs, groups),
        *_unread(read, {name for name, _, _ in known}),
        *_holding(alerts, own_alerts(inputs.experiment.experiment, book)),
        *_down(targets),
    ]
    count = sum(len(group.rules) for group in groups)
    text = Message(
        "finding.prometheus",
        version=str(version),
        scrape_s=scrape_s,
        n=count,
        blur_ms=blur_ns / NS * 1000,
    )
    return Measured([*findings, Finding(NAME, "ok", text)], scrape_s)


async def _targets(client: Prometheus, clock: Clock) -> Sequence[ApiTarget]:
    """The targets; one that has just started needs some seconds to find its own."""
    deadline_ns = clock.now_ns() + int(FIRST_S * NS)
    while not (found := await client.targets()) and clock.now_ns() < deadline_ns:
        await clock.sleep(_POLL_S)
    if not found:
        raise PrometheusError(f"it scrapes no target, for {FIRST_S:g} s already")
    return found


Series = set[tuple[str, str, str]]


async def _known(client: Prometheus, names: set[str]) -> Series:
    """Name, job and instance of every series there is of what is read."""
    if not names:
        return set()
    found = await client.value(
        f'count by (__name__, job, instance) ({{__name__=~"{"|".join(sorted(names))}"}})'
    )
    labels = found if isinstance(found, dict) else {}
    return {
        (value_of(each, "__name__"), value_of(each, "job"), value_of(each, "instance"))
        for each in labels
    }


def _longest(targets: Sequence[ApiTarget], known: Series) -> float:
    """The longest interval of the targets that tell what is read; of all where none does yet."""
    tellers = {(job, instance) for _, job, instance in known}
    theirs = [t for t in targets if (t.labels.get("job"), t.labels.get("instance")) in tellers]
    return max(each.interval_s for each in theirs or targets)


def _deadlines(inputs: Inputs, scrape_s: float) -> Iterator[Finding]:
    """A failure for each `within` that two scrapes do not fit into."""
    for place, key, within in _withins(inputs):
        if seconds(within) < SCRAPES * scrape_s:
            found = f"{key!r}: {format_duration(within)} is shorter than two scrapes of Prometheus"
            cure = f"write {SCRAPES * scrape_s:g}s or more, or scrape more often than every "
            yield Finding(str(place), "fail", found, f"{cure}{scrape_s:g} s", usage=True)


def _withins(inputs: Inputs) -> Iterator[tuple[Place, str, timedelta]]:
    """Every deadline of the files: its place, its key, its length."""
    document, expect = inputs.experiment.document, inputs.experiment.experiment.expect
    for index, alert in enumerate(expect.alerts):
        at = ("expect", "alerts", index)
        yield document.place(*at, "fires_within"), "fires_within", alert.fires_within
        if alert.resolves_within is not None:
            yield document.place(*at, "resolves_within"), "resolves_within", alert.resolves_within
    if expect.recovers_within is not None:
        place = document.place("expect", "recovers_within")
        yield place, "recovers_within", expect.recovers_within
    book = inputs.playbook
    for step in () if book is None else book.playbook.steps:
        if book is not None and step.block.after is not None:
            yield book.blocks[step.number].place("within"), "within", step.block.within
    drain = inputs.system.system.drain
    if drain is not None:
        yield inputs.system.document.place("drain", "within"), "within", drain.within


def _rules(inputs: Inputs, groups: Sequence[ApiGroup]) -> Iterator[Finding]:
    """Expected alerts have a rule in Prometheus that it can evaluate and that can be in time."""
    document = inputs.experiment.document
    rules = {rule.name: rule for g in groups for rule in g.rules if rule.type == "alerting"}
    for index, alert in enumerate(inputs.experiment.experiment.expect.alerts):
        place = str(document.place("expect", "alerts", index, "alert"))
        rule = rules.get(alert.alert)
        if rule is None:
            found = f"'alert': Prometheus has no rule that raises {alert.alert!r}"
            cure = one_of_them(alert.alert, rules) or "load the rules of the system into it"
            yield Finding(place, "fail", found, cure, usage=True)
        elif rule.health == "err":
            found = f"{alert.alert!r}: Prometheus cannot evaluate it: {rule.last_error[:200]}"
            yield Finding(place, "warn", found, "mend the rule: it cannot fire")
        elif rule.duration > seconds(alert.fires_within):
            found = f"'fires_within': {alert.alert} is pending for {rule.duration:g} s before it"
            yield Finding(place, "warn", f"{found} fires", "it cannot be in time")


def _unread(read: Sequence[catalogue.Expression], known: set[str]) -> Iterator[Finding]:
    """Expressions over series that Prometheus has not got."""
    for each in read:
        missing = sorted(parse(each.expr).metric_names() - known - TRAFFIC_METRICS)
        if missing:
            what = f"Prometheus has no series {', '.join(missing[:_SHOWN])}"
            cure = "without data it is unknown in a run; a guard without data ends it"
            yield Finding(each.title, "warn", what, cure)


def _holding(alerts: Sequence[ApiAlert], own: frozenset[str]) -> Iterator[Finding]:
    """Alerts that are on before anything was broken."""
    states = {alert.labels["alertname"]: alert.state for alert in alerts}
    for name, state in sorted(states.items()):
        text = f"{name} is {state} before anything was broken"
        ours = name in own
        cure = "the run would end as not steady: mend it first" if ours else "it becomes baseline"
        yield Finding("alerts", "warn", text, cure)


def _down(targets: Sequence[ApiTarget]) -> Iterator[Finding]:
    """Targets that Prometheus cannot scrape."""
    down = [each.labels.get("instance", "?") for each in targets if each.health == "down"]
    if down:
        text = f"cannot scrape {', '.join(down[:_SHOWN])}" + ("" if len(down) <= _SHOWN else " …")
        yield Finding(NAME, "warn", text, "what it would tell of is missing")
