"""Rules about time: faults inside the traffic, deadlines that can be seen, a clear sell-out."""

from datetime import timedelta

from gameday.core.units import format_duration, seconds
from gameday.spec.experiment import STEADY_S, ExpectedAlert, ExpectedLog, Experiment, Reaction
from gameday.spec.faults import AnyFault, Latency, Spike
from gameday.spec.inputs import FileWarning, Findings, Inputs
from gameday.telemetry.failures import filled, steady_state
from gameday.traffic.forecast import expected_starts, sell_out_s, starts_until, traffic_end_s

BREACH_S = 2.0  # two evaluations in a row are a breach (`evidence.outages`)
"""Damage shows at the second of two false evaluations, one second apart, after the injection."""
CLOSE = 0.98
"""A sell-out that takes more than this share of all requests may or may not happen."""
_TOO_SHORT = "'duration': must be longer than 0s"


def of_experiment(inputs: Inputs) -> Findings:
    """Everything about time."""
    yield from _faults_lie_in_traffic(inputs)
    yield from _expectations_can_show(inputs)
    yield from _stock_lasts(inputs)


def _faults_lie_in_traffic(inputs: Inputs) -> Findings:
    """A fault needs traffic before, during and after it; the same one not twice at a time."""
    document, experiment = inputs.experiment.document, inputs.experiment.experiment
    end_s = traffic_end_s(experiment)
    for index, fault in enumerate(experiment.method):
        at = ("method", index)
        if not fault.duration:
            yield document.error((*at, "duration"), _TOO_SHORT)
        fault_end_s = seconds(fault.at + fault.duration)
        if fault_end_s > end_s:
            problem = f"the fault ends at {fault_end_s:g} s, after the traffic ({end_s:g} s)"
            yield document.error((*at, "at"), problem, help="lengthen the traffic")
        if experiment.objectives and seconds(fault.at) < STEADY_S:
            problem = f"'at': {format_duration(fault.at)} leaves no 5 s to see the steady state"
            yield document.error((*at, "at"), problem, help="begin at 5s or later")
        yield from _fault_values(inputs, index, fault)
        yield from _overlaps(inputs, index, fault)


def _fault_values(inputs: Inputs, index: int, fault: AnyFault) -> Findings:
    document = inputs.experiment.document
    if isinstance(fault, Spike) and fault.rate.count == 0:
        yield document.error(("method", index, "rate"), f"'rate': {fault.rate} asks for nothing")
    if isinstance(fault, Latency):
        if not fault.latency:
            yield document.error(("method", index, "latency"), "'latency': must be longer than 0s")
        elif fault.jitter > fault.latency:
            jitter, latency = format_duration(fault.jitter), format_duration(fault.latency)
            problem = f"'jitter': {jitter} is more than the latency ({latency})"
            yield document.error(("method", index, "jitter"), problem)


def _overlaps(inputs: Inputs, index: int, fault: AnyFault) -> Findings:
    for earlier in inputs.experiment.experiment.method[:index]:
        kin = _alone(fault) & _alone(earlier)
        same = earlier.on == fault.on and (kin or earlier.fault == fault.fault)
        if isinstance(fault, Spike) or not same:
            continue
        if earlier.at < fault.at + fault.duration and fault.at < earlier.at + earlier.duration:
            problem = f"{fault.fault} on {fault.on!r} overlaps with {earlier.id!r}"
            help = "begin it after the other has ended"
            yield inputs.experiment.document.error(("method", index), problem, help=help)


def _alone(fault: AnyFault) -> set[str]:
    """Kinds of its changes of which a target takes one at a time."""
    return {change.kind for change in fault.changes()} & {"service", "proxy"}


def _expectations_can_show(inputs: Inputs) -> Findings:
    """Every deadline lies inside the traffic; after its end there is nothing to see it by."""
    document, experiment = inputs.experiment.document, inputs.experiment.experiment
    expect = experiment.expect
    if expect.recovers_within is not None:
        yield from _recovery(inputs)
    for index, alert in enumerate(expect.alerts):
        if not experiment.method:
            problem = "'alerts': no fault that an alert could be about"
            yield document.error(("expect", "alerts", index), problem)
            continue
        fault = fault_of(experiment, alert)
        if fault is not None:
            yield from _alert(inputs, index, alert, fault)
    for index, reaction in enumerate(expect.reactions):
        if not experiment.method:
            problem = "'reactions': no fault that there could be a reaction to"
            yield document.error(("expect", "reactions", index), problem)
        elif (fault := fault_of(experiment, reaction)) is not None:
            yield from _reaction(inputs, index, reaction, fault)


def fault_of(
    experiment: Experiment, expected: ExpectedAlert | Reaction | ExpectedLog
) -> AnyFault | None:
    """The fault that a deadline counts from; None if `of` names none."""
    if expected.of is None:
        return min(experiment.method, key=lambda fault: fault.at)
    return next((fault for fault in experiment.method if fault.id == expected.of), None)


def _reaction(inputs: Inputs, index: int, reaction: Reaction, fault: AnyFault) -> Findings:
    document, end_s = inputs.experiment.document, traffic_end_s(inputs.experiment.experiment)
    removed = fault.at + fault.duration
    for key, since, within in (
        ("within", fault.at, reaction.within),
        ("back_within", removed, reaction.back_within),
    ):
        if within is None or seconds(since + within) <= end_s:
            continue
        problem = (
            f"{key!r}: {reaction.name} has until {seconds(since + within):g} s"
            f" ({seconds(since):g} + {format_duration(within)}), after the traffic ({end_s:g} s)"
        )
        help = "lengthen the traffic or shorten the deadline"
        yield document.error(("expect", "reactions", index, key), problem, help=help)


def recovers_s(experiment: Experiment) -> float | None:
    """The latest instant at which the file lets the system be well again."""
    if experiment.expect.recovers_within is None or not experiment.method:
        return None
    first = min(seconds(fault.at) for fault in experiment.method)
    return first + BREACH_S + seconds(experiment.expect.recovers_within)


def _recovery(inputs: Inputs) -> Findings:
    document, experiment = inputs.experiment.document, inputs.experiment.experiment
    at = ("expect", "recovers_within")
    held = steady_state(filled(experiment))
    for key, there in (("method", experiment.method), ("objectives", held)):
        if not there:
            yield document.error(at, f"'recovers_within': without {key!r} it says nothing")
    latest, end_s = recovers_s(experiment), traffic_end_s(experiment)
    if latest is not None and latest > end_s:
        within = format_duration(experiment.expect.recovers_within or timedelta(0))
        first = latest - BREACH_S - seconds(experiment.expect.recovers_within or timedelta(0))
        problem = (
            f"'recovers_within': {within} may end at {latest:g} s ({first:g} + 2 + {within}), "
            f"after the traffic ({end_s:g} s)"
        )
        yield document.error(at, problem, help="lengthen the traffic or shorten the deadline")


def _alert(inputs: Inputs, index: int, alert: ExpectedAlert, fault: AnyFault) -> Findings:
    document, experiment = inputs.experiment.document, inputs.experiment.experiment
    end_s = traffic_end_s(experiment)
    help = "lengthen the traffic or shorten the deadline"
    fires = seconds(fault.at + alert.fires_within)
    if fires > end_s:
        problem = (
            f"'fires_within': {alert.alert} may fire until {fires:g} s "
            f"({seconds(fault.at):g} + {format_duration(alert.fires_within)}), "
            f"after the traffic ({end_s:g} s)"
        )
        yield document.error(("expect", "alerts", index, "fires_within"), problem, help=help)
    if alert.resolves_within is None:
        return
    removed = seconds(fault.at + fault.duration)
    recovered = recovers_s(experiment) or removed
    since = max(removed, recovered) if recovered <= end_s else removed  # else told by _recovery
    resolves = since + seconds(alert.resolves_within)
    if resolves > end_s:
        problem = (
            f"'resolves_within': {alert.alert} may resolve until {resolves:g} s "
            f"({since:g} + {format_duration(alert.resolves_within)}), "
            f"after the traffic ({end_s:g} s)"
        )
        yield document.error(("expect", "alerts", index, "resolves_within"), problem, help=help)


def _stock_lasts(inputs: Inputs) -> Findings:
    """A fault that comes when everything is sold shows nothing about issuing.

    A sell-out at the very end may happen or not, by chance: one run would show it, the next not.
    """
    document, experiment = inputs.experiment.document, inputs.experiment.experiment
    sold_out = sell_out_s(experiment, inputs.system.system.semantics)
    end_s = traffic_end_s(experiment)
    if sold_out is None:
        return
    expected = f"'stock': {experiment.campaign.stock} coupons are expected to be gone at"
    last = max((seconds(fault.at + fault.duration) for fault in experiment.method), default=0.0)
    place = document.place("campaign", "stock")
    if sold_out < last:
        text = f"{sold_out:.1f} s, before the last fault ends ({last:g} s): raise the stock"
        yield FileWarning(place, f"{expected} {text}")
    elif starts_until(experiment, sold_out) > CLOSE * expected_starts(experiment):
        text = f"{sold_out:.1f} s, just before the traffic ends ({end_s:g} s), or not at all"
        yield FileWarning(place, f"{expected} {text}")
