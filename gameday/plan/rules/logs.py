"""Rules about what is expected of the service's logs: patterns, and a time that the traffic has."""

from gameday.core.patterns import compile_pattern
from gameday.core.units import format_duration, seconds
from gameday.plan.rules.deadlines import fault_of
from gameday.spec.experiment import ExpectedLog
from gameday.spec.inputs import Findings, Inputs
from gameday.traffic.forecast import traffic_end_s

Loc = tuple[str | int, ...]


def of_experiment(inputs: Inputs) -> Findings:
    """Every expectation of the logs means some lines, and can be seen to hold."""
    for index, expected in enumerate(inputs.experiment.experiment.expect.logs):
        at = ("expect", "logs", index)
        yield from _patterns(inputs, at, expected)
        yield from _counts(inputs, at, expected)
        yield from _time(inputs, at, expected)


def _patterns(inputs: Inputs, at: Loc, expected: ExpectedLog) -> Findings:
    document = inputs.experiment.document
    if not expected.pattern and not expected.fields:
        problem = "'logs': neither 'pattern' nor 'fields' says which lines are meant"
        yield document.error(at, problem, help="pattern: 'cannot connect', fields: {level: ERROR}")
    from gameday.evidence.service_logs import searched  # only where a log is asked about

    try:
        searched(expected.pattern)
    except ValueError as error:
        help = "a regular expression of RE2: https://github.com/google/re2/wiki/Syntax"
        yield document.error((*at, "pattern"), f"'pattern': {error}", help=help)
    for key, text in expected.fields.items():
        try:
            compile_pattern(text)
        except ValueError as error:
            yield document.error((*at, "fields", key), f"{key!r}: {error}")


def _counts(inputs: Inputs, at: Loc, expected: ExpectedLog) -> Findings:
    most = expected.at_most
    if most is not None and expected.needed > most:
        problem = f"'at_least': {expected.needed} is more than 'at_most', {most}"
        yield inputs.experiment.document.error((*at, "at_least"), problem)


def _time(inputs: Inputs, at: Loc, expected: ExpectedLog) -> Findings:
    document, experiment = inputs.experiment.document, inputs.experiment.experiment
    end_s, since_s = traffic_end_s(experiment), 0.0
    if expected.from_ == "start":
        if expected.of is not None:
            yield document.error((*at, "of"), "'of': with `from: start` no fault is meant")
    elif not experiment.method:
        problem = "'logs': no fault that it could be about"
        yield document.error(at, problem, help="from: start counts from the start of the traffic")
        return
    elif (fault := fault_of(experiment, expected)) is not None:
        since_s = seconds(fault.at)
    within = expected.within
    if within is not None and since_s + seconds(within) > end_s:
        problem = (
            f"'within': {expected.name} has until {since_s + seconds(within):g} s"
            f" ({since_s:g} + {format_duration(within)}), after the traffic ({end_s:g} s)"
        )
        help = "lengthen the traffic or shorten the deadline"
        yield document.error((*at, "within"), problem, help=help)
