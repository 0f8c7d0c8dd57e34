"""When an alert or an objective changed its state, read off the recorded evaluations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from gameday.telemetry.catalogue import key, names
from gameday.telemetry.samples import AlertLine, Evaluation, Truth

State = Literal["pending", "firing", "inactive"]


@dataclass(frozen=True, slots=True)
class Span:
    """`name` was in `state` from one evaluation to another; `end_ns` None: until the last."""

    name: str
    state: str
    start_ns: int
    end_ns: int | None


def alert_names(evaluations: Sequence[Evaluation]) -> list[str]:
    """Every alert seen, in the order in which they were first seen."""
    return list(dict.fromkeys(a.name for each in evaluations for a in each.alerts))


def alert_spans(evaluations: Sequence[Evaluation], name: str) -> list[Span]:
    """When an alert was pending and firing; firing wins where several instances differ."""
    known = (each for each in evaluations if not each.alerts_problem)
    states = [(each.t_ns, _state(each.alerts, name)) for each in known]
    return [span for span in _spans(name, states) if span.state != "inactive"]


def objective_names(evaluations: Sequence[Evaluation]) -> list[str]:
    """The objectives' names, without the prefix their readings carry."""
    return names("objective", (each for one in evaluations for each in one.readings))


def objective_spans(evaluations: Sequence[Evaluation], name: str) -> list[Span]:
    """When an objective held (`true`), was breached (`false`), or had no data (`none`)."""
    readings = [(each.t_ns, each.readings.get(key("objective", name))) for each in evaluations]
    return list(_spans(name, [(t_ns, _word(truth)) for t_ns, truth in readings]))


def _word(truth: Truth) -> str:
    return "none" if truth is None else "true" if truth else "false"


def _state(alerts: Sequence[AlertLine], name: str) -> State:
    states = {alert.state for alert in alerts if alert.name == name}
    return "firing" if "firing" in states else "pending" if "pending" in states else "inactive"


def _spans(name: str, states: Sequence[tuple[int, str]]) -> Iterator[Span]:
    start_ns, current = None, ""
    for t_ns, state in states:
        if state == current:
            continue
        if start_ns is not None:
            yield Span(name, current, start_ns, t_ns)
        start_ns, current = t_ns, state
    if start_ns is not None:
        yield Span(name, current, start_ns, None)
