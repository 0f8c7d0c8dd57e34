"""The five charts of a postmortem, drawn from the samples and the result."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from gameday.report.charts.plot import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PINK,
    RED,
    SKY,
    Bar,
    Lane,
    Line,
    Mark,
    Words,
    chart,
    lanes_chart,
    time_scale,
)
from gameday.report.charts.series import Curve
from gameday.report.charts.spans import (
    Span,
    alert_names,
    alert_spans,
    objective_names,
    objective_spans,
)
from gameday.report.charts.thinning import thinned
from gameday.report.inputs import Material
from gameday.report.messages import Messages
from gameday.report.sections.response import step_records
from gameday.telemetry import catalogue

NAMES: Final = ("latency", "throughput", "failures", "lanes", "dependencies")
_OUTCOMES: Final = {
    "issued": GREEN,
    "duplicate": SKY,
    "sold_out": BLUE,
    "accepted": PINK,
    "refused": ORANGE,
    "unknown": RED,
}
_FAILURES: Final = {"unknown": RED, "refused": ORANGE}
_PERCENTILES: Final = {"p50": (0.5, SKY), "p95": (0.95, BLUE), "p99": (0.99, PINK)}
_STATES: Final = {"pending": ORANGE, "firing": RED, "false": PINK, "none": GREY}
_COLOURS: Final = (BLUE, ORANGE, GREEN, PINK, SKY, RED, GREY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """One chart of curves before it is drawn."""

    words: Words
    t_s: Curve
    lines: Sequence[Line]
    log: bool = False


def draw(m: Material, say: Messages) -> dict[str, str]:
    """Every chart by its name, as SVG."""
    marks = marks_of(m, say)
    drawn = {
        name: chart(plot.words, plot.t_s, plot.lines, marks, log=plot.log)
        for name, plot in plots(m, say).items()
    }
    return {**drawn, "lanes": _lanes(m, say)}


def plots(m: Material, say: Messages) -> Mapping[str, Plot]:
    """The charts of curves by their names; long runs are thinned to what can be seen."""
    curves = m.curves
    latency = [
        Line(name, colour, curves.percentile(q) * 1000)
        for name, (q, colour) in _PERCENTILES.items()
    ]
    seen = {name: colour for name, colour in _OUTCOMES.items() if _any(curves.answers.get(name))}
    failures = _rates(m, say, _FAILURES)
    failures.append(Line(say("chart.dropped"), GREY, curves.per_s(curves.drops)))
    return {
        "latency": _plot("latency", say, curves.t_s, latency, log=True),
        "throughput": _plot("throughput", say, curves.t_s, _rates(m, say, seen)),
        "failures": _plot("failures", say, curves.t_s, failures),
        "dependencies": _dependencies(m, say),
    }


def _plot(
    name: str, say: Messages, t_s: Curve, lines: Sequence[Line], *, log: bool = False
) -> Plot:
    fewer_t_s, values = thinned(t_s, [line.values for line in lines])
    fewer = [replace(line, values=each) for line, each in zip(lines, values, strict=True)]
    return Plot(words=_words(name, say), t_s=fewer_t_s, lines=fewer, log=log)


def _words(name: str, say: Messages, y: str = "") -> Words:
    label = say(f"chart.{name}_y") if f"chart.{name}_y" in say.by_id else y
    description, nothing = say(f"chart.{name}_alt"), say("chart.nothing")
    return Words(say(f"chart.{name}"), description, say("chart.x"), label, nothing)


def _any(counter: Curve | None) -> bool:
    return counter is not None and bool(counter.any())


def _rates(m: Material, say: Messages, colours: Mapping[str, str]) -> list[Line]:
    none = np.zeros(len(m.curves.t_s))
    return [
        Line(say(f"chart.{name}"), colour, m.curves.per_s(m.curves.answers.get(name, none)))
        for name, colour in colours.items()
    ]


def faults_of(m: Material, say: Messages) -> list[Mark]:
    """The windows of the faults that were there."""
    last = float(m.curves.t_s[-1]) if len(m.curves.t_s) else 0.0
    return [
        Mark(say.plain("chart.fault", fault=fault.id), start, fault.removed_at or last)
        for fault in m.result.faults
        if (start := fault.injected_at) is not None
    ]


def marks_of(m: Material, say: Messages) -> list[Mark]:
    """Fault windows, the first firing of each alert, steps that ended, the end of traffic."""
    marks = faults_of(m, say)
    for name in alert_names(m.evaluations):
        fired = [s for s in alert_spans(m.evaluations, name) if s.state == "firing"]
        if fired:
            label = say.plain("chart.alert", alert=name)
            marks.append(Mark(label, m.at_s(fired[0].start_ns)))
    for step in m.result.playbook:
        done = step_records(m, step.step)[1]
        if done is not None:
            status = say.word(step.status)
            label = say.plain("chart.step", step=str(step.step), status=status)
            marks.append(Mark(label, m.at_s(done.t_ns)))
    end_s = m.effective.traffic_end_s if m.effective else None
    if end_s is not None and len(m.curves.t_s) and end_s <= m.curves.t_s[-1]:
        marks.append(Mark(say("chart.traffic_end"), end_s))
    return sorted(marks, key=lambda mark: mark.start_s)


def _lanes(m: Material, say: Messages) -> str:
    xs = time_scale(m.curves.t_s)
    spans = {name: alert_spans(m.evaluations, name) for name in alert_names(m.evaluations)}
    for name in objective_names(m.evaluations):
        label = say.plain("chart.objective", objective=name)
        found = objective_spans(m.in_traffic, name)
        spans[label] = [until_the_end(m, each) for each in found if each.state != "true"]
    lanes = [Lane(name, [_bar(m, one, xs.high) for one in each]) for name, each in spans.items()]
    names = zip(("pending", "firing", "breached", "nodata"), _STATES.values(), strict=True)
    legend = [(say(f"chart.{name}"), colour) for name, colour in names]
    return lanes_chart(_words("lanes", say), xs, lanes, faults_of(m, say), legend)


def until_the_end(m: Material, span: Span) -> Span:
    """A span of the traffic; one that has no end of its own ends with that."""
    if span.end_ns is None and m.traffic_end_ns < math.inf:
        return replace(span, end_ns=int(m.traffic_end_ns))
    return span


def _bar(m: Material, span: Span, last_s: float) -> Bar:
    end_s = last_s if span.end_ns is None else m.at_s(span.end_ns)
    return Bar(m.at_s(span.start_ns), end_s, _STATES[span.state])


def _dependencies(m: Material, say: Messages) -> Plot:
    t_s = np.array([m.at_s(each.t_ns) for each in m.evaluations])
    keys = (each for one in m.evaluations for each in one.figures)
    lines: list[Line] = []
    for name in catalogue.names("dependency", keys):
        key = catalogue.key("dependency", name)
        values = [each.figures.get(key) for each in m.evaluations]
        curve = np.array([np.nan if value is None else float(value) * 1000 for value in values])
        colour = _COLOURS[len(lines) % len(_COLOURS)]
        lines.append(Line(name, colour, curve))
    return _plot("dependencies", say, t_s, lines, log=True)
