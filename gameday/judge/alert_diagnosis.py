"""The diagnosis of an alert that broke its promise: which defect of the rules it is, and the cure.

The rules are held to the samples of the run, one suspicion after the other, from what makes an
alert impossible (no rule, an expression that fails, a series that nobody tells) to what makes it
late. The first that the samples show is said; where none is shown, nothing is.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gameday.core.clock import NS
from gameday.core.errors import GamedayError
from gameday.core.messages import Message
from gameday.evidence.model import Evidence
from gameday.judge.alert_looks import RunLooks, named_by, only
from gameday.judge.alert_replay import RecordedRun, load_run, rules_of
from gameday.judge.checks.alerts import VALIDITY, AlertStatus
from gameday.judge.verdict import Validity
from gameday.spec.experiment import ExpectedAlert
from gameday.telemetry.alerts.looks import (
    AskedFigure,
    RuleLook,
    comparison,
)
from gameday.telemetry.alerts.replay import LabelledScrape, period_ns
from gameday.telemetry.alerts.rules import (
    AlertRule,
    RuleFile,
    load_rules,
    recorded_names,
)
from gameday.telemetry.promql.labels import NAME, Labels, value_of
from gameday.telemetry.promql.nodes import FunctionCall, Node, Selector, children, selectors
from gameday.telemetry.samples import Evaluation

_SHOWN: Final = 3
_SCRAPES: Final = 2
_LABELS: Final = "alert.other_labels"
_EARLY: Final = "alert.early"
_OFTEN: Final = "alert.count"
_LATE_END: Final = ("alert.never_resolved", "alert.resolved_late")
_WORDS: Final = re.compile(r"[\w:]+")
_ON_BEFORE: Final = "alert.was_firing"


def diagnosed(evidence: Evidence, statuses: Sequence[AlertStatus]) -> list[AlertStatus]:
    """The same, each that broke its promise with the defect and its cure; without, if not seen.

    What the alerts of a real Prometheus read is not recorded: of those its own words are told.
    """
    if not any(map(is_broken, statuses)):
        return list(statuses)
    if evidence.folder is not None:
        try:
            files = [load_rules(path) for path in rules_of(evidence.folder)]
            run = load_run(evidence.folder, evidence, named_by(files))
        except GamedayError:
            pass
        else:
            return diagnose(run, files, statuses)
    causes = [_failed(evidence.readings, each.alert) for each in statuses]
    return _with_causes(statuses, causes)


def _with_causes(
    statuses: Sequence[AlertStatus], causes: Sequence[Message | None]
) -> list[AlertStatus]:
    return [
        replace(status, cause=cause) if is_broken(status) and cause is not None else status
        for status, cause in zip(statuses, causes, strict=True)
    ]


def is_broken(status: AlertStatus) -> bool:
    """An alert did not do what was expected, or cannot: it was on before its fault."""
    validity = VALIDITY.get(status.status, Validity.INVALID)
    return validity is Validity.INVALID or status.why.id == _ON_BEFORE


def diagnose(
    run: RecordedRun, files: Sequence[RuleFile], statuses: Sequence[AlertStatus]
) -> list[AlertStatus]:
    """The same, each that broke its promise with the defect of these rules, and with the cure.

    Without where the samples show none, or where to look would be more work than `MOST_STEPS`.
    """
    broken = {each.alert for each in statuses if is_broken(each)}
    rules = {rule.alert: rule for file in reversed(files) for rule in reversed(file.alerts)}
    looked = [rule for name, rule in rules.items() if name in broken]
    work = RunLooks(run, files, looked)
    found = work.look(only(files, broken), looked)
    by_alert = (
        {} if found is None else dict(zip((e.alert for e in looked), found.by_rule, strict=True))
    )
    problems = {} if found is None else found.problems

    def cause(status: AlertStatus) -> Message | None:
        rule = rules.get(status.alert)
        if rule is None:
            return Message("alert_cause.no_rule", near=_near(status.alert, sorted(rules)))
        if why := _problem(problems, status.alert):
            return Message("alert_cause.failed", why=why)
        if status.why.id == _LABELS:
            labels = ", ".join(f"{k}: {v}" for k, v in rule.labels) or "-"
            return Message("alert_cause.labels", labels=labels, place=_place(rule))
        case = _case(work, files, rule, status, by_alert.get(rule.alert, ()))
        return None if case is None else case.cause()

    return _with_causes(statuses, [cause(e) if is_broken(e) else None for e in statuses])


@dataclass(frozen=True, slots=True)
class _Case:
    """A rule, what it saw in a run, and from when to when its alert was to fire (ns)."""

    work: RunLooks
    files: Sequence[RuleFile]
    rule: AlertRule
    status: AlertStatus
    looks: Sequence[RuleLook]
    begin_ns: int
    end_ns: int

    @property
    def run(self) -> RecordedRun:
        return self.work.run

    @property
    def compared(self) -> AskedFigure | None:
        return comparison(self.rule.query.node)

    @property
    def place(self) -> str:
        return _place(self.rule)

    def cause(self) -> Message | None:
        """The defect, by what the alert did: too early, not at all, for too long, too late."""
        status = self.status
        if status.why.id in (_EARLY, _OFTEN, _ON_BEFORE) or not status.expected:
            return self.hasty()
        if status.fired_at_ns is None:
            return _unread(self.work, self.files, self.rule) or self.silent()
        return self.lasting() if status.why.id in _LATE_END else self.slow()

    def silent(self) -> Message | None:
        """Why an alert did not fire: it held too short a time, or never."""
        during = [look for look in self.looks if self.begin_ns <= look.t_ns <= self.end_ns]
        held_s = _longest_s(during)
        if held_s is not None:
            return self._pending(held_s)
        if (reversed_ := self._reversed(during)) is not None:
            return reversed_
        if (long := self._long_window()) is not None:
            return long
        if all(look.figure is None for look in during):
            return self._empty_window()
        return self._threshold(during)

    def slow(self) -> Message | None:
        """Why an alert fired after its deadline."""
        during = [look for look in self.looks if look.t_ns >= self.begin_ns]
        first = next((look.t_ns for look in during if look.holds), None)
        if first is None:
            return None
        if first <= self.end_ns and self.rule.for_ns:
            return self._pending((self.end_ns - first) / NS)
        return self._long_window() or self._threshold(
            [look for look in during if look.t_ns <= self.end_ns]
        )

    def lasting(self) -> Message | None:
        """Why an alert went on."""
        held = [look.t_ns for look in self.looks if look.holds]
        over_ns = self.status.resolved_at_ns or self.looks[-1].t_ns
        quiet_s = (over_ns - held[-1]) / NS if held else 0.0
        if self.rule.keep_firing_ns and held and quiet_s > 1:
            keep_s = self.rule.keep_firing_ns / NS
            return Message("alert_cause.keep", keep_s=keep_s, quiet_s=quiet_s, place=self.place)
        window_s = _window_s(self.rule.query.node)
        if window_s > 1:
            return Message("alert_cause.window_lasts", window_s=window_s, place=self.place)
        return None

    def hasty(self) -> Message | None:
        """Why an alert fired that must not, or not yet."""
        compared, figure = self.compared, self._figure_when_it_fired()
        during = [look for look in self.looks if look.t_ns >= self.begin_ns]
        if (reversed_ := self._reversed(during)) is not None:
            return reversed_
        if (absent := self._absent()) is not None:
            return absent
        if self.status.why.id == _EARLY:
            for_s = self.rule.for_ns / NS
            return Message("alert_cause.early", for_s=for_s, place=self.place)
        if compared is None or figure is None:
            return None
        return Message(
            "alert_cause.low",
            figure=figure, op=compared.op, limit=compared.limit, place=self.place,
        )  # fmt: skip

    def _absent(self) -> Message | None:
        """The rule asks for the absence of a metric that nobody ever told."""
        names = sorted(self.run.metrics)
        for selector in selectors(self.rule.query.node):
            if selector.name and selector.name not in names and self.compared is None:
                near = _near(selector.name, names)
                return Message(
                    "alert_cause.no_metric", name=selector.name, near=near, place=self.place
                )
        return None

    def _figure_when_it_fired(self) -> float | None:
        at_ns = self.status.fired_at_ns
        figures = [e.figure for e in self.looks if e.holds and (at_ns is None or e.t_ns <= at_ns)]
        return figures[-1] if figures else None

    def _pending(self, held_s: float) -> Message:
        for_s = self.rule.for_ns / NS
        return Message("alert_cause.for", held_s=held_s, for_s=for_s, place=self.place)

    def _reversed(self, during: Sequence[RuleLook]) -> Message | None:
        """The fault moved the figure beyond the limit, to the side that nobody asks for."""
        before = [look for look in self.looks if look.t_ns < self.begin_ns]
        compared = self.compared
        quiet = [look.figure for look in before if look.figure is not None]
        moved = [look.figure for look in during if look.figure is not None]
        if compared is None or not quiet or not moved or compared.op in ("==", "!="):
            return None
        most, least = max(quiet), min(quiet)
        away = max(moved) - most > 0 if not compared.wants_more else least - min(moved) > 0
        beyond = (
            max(moved) > compared.limit >= most
            if not compared.wants_more
            else min(moved) < compared.limit <= least
        )
        if not (away and beyond):
            return None
        found = max(moved) if not compared.wants_more else min(moved)
        return Message(
            "alert_cause.reversed",
            quiet=most if not compared.wants_more else least, figure=found,
            op=compared.op, limit=compared.limit, place=self.place,
        )  # fmt: skip

    def _empty_window(self) -> Message | None:
        step_s = period_ns(self.run.scrapes) / NS
        shortest = min(
            (s.range_ns for s in selectors(self.rule.query.node) if s.range_ns), default=0
        )
        if shortest and shortest / NS < _SCRAPES * step_s:
            return Message(
                "alert_cause.window_empty",
                window_s=shortest / NS, scrape_s=step_s, place=self.place,
            )  # fmt: skip
        return Message("alert_cause.no_value", place=self.place)

    def _long_window(self) -> Message | None:
        """A rule of shorter windows would have held in time."""
        found = self.work.with_shorter_windows.get(self.rule.alert)
        if found is None:
            return None
        longest, looks = found
        during = [look for look in looks if self.begin_ns <= look.t_ns <= self.end_ns]
        held_s = _longest_s(during)
        if held_s is None or held_s < self.rule.for_ns / NS:
            return None
        return Message("alert_cause.window_long", window_s=longest / NS, place=self.place)

    def _threshold(self, during: Sequence[RuleLook]) -> Message | None:
        compared = self.compared
        figures = [look.figure for look in during if look.figure is not None]
        if compared is None or not figures:
            return Message("alert_cause.no_value", place=self.place)
        nearest = max(figures) if compared.wants_more else min(figures)
        return Message(
            "alert_cause.threshold",
            figure=nearest, op=compared.op, limit=compared.limit, place=self.place,
        )  # fmt: skip


def _case(
    work: RunLooks,
    files: Sequence[RuleFile],
    rule: AlertRule,
    status: AlertStatus,
    found: Sequence[RuleLook],
) -> _Case | None:
    """The rule over the run, from the fault that the alert is about until its deadline."""
    evidence = work.run.evidence
    begin_ns, end_ns = _time_to_fire(evidence, rule)
    if not found:
        return None
    if status.fired_at_ns is None:  # how near it came in the whole run
        end_ns = evidence.anchors.traffic_end_ns or found[-1].t_ns
    return _Case(work, files, rule, status, found, begin_ns, end_ns)


def _time_to_fire(evidence: Evidence, rule: AlertRule) -> tuple[int, int]:
    """From the fault that an alert is expected of until its deadline, else the end of the run."""
    promise = next((a for a in evidence.experiment.expect.alerts if a.alert == rule.alert), None)
    begin_ns = _begin_ns(evidence, promise)
    end_ns = evidence.anchors.traffic_end_ns or evidence.timeline.last_ns or begin_ns
    if promise is not None:
        end_ns = min(end_ns, begin_ns + int(promise.fires_within.total_seconds() * NS))
    return begin_ns, end_ns


def _begin_ns(evidence: Evidence, promise: ExpectedAlert | None) -> int:
    times = {fault.id: fault.injecting_ns for fault in evidence.planned_faults}
    of = promise.of if promise is not None else None
    begun = [t for id_, t in times.items() if t is not None and of in (None, id_)]
    return min(begun, default=evidence.timeline.t0_ns or 0)


def _failed(lines: Sequence[Evaluation], alert: str) -> Message | None:
    """The error of the rule's expression, as whoever evaluated it told it."""
    for line in lines:
        if why := _problem(line.problems or {}, alert):
            return Message("alert_cause.failed", why=why)
    return None


def _problem(problems: Mapping[str, str], alert: str) -> str:
    """What is said of the rule of that name; keys are its group and its name."""
    return next((why for key, why in problems.items() if alert in _WORDS.findall(key)), "")


def _place(rule: AlertRule) -> str:
    """The rule's file and position. No folder: a result says nothing of where it was judged."""
    return f"{Path(rule.place.file).name}:{rule.place.line}:{rule.place.column}"


def _unread(work: RunLooks, files: Sequence[RuleFile], rule: AlertRule) -> Message | None:
    """A series that the rule needs, and that nobody told while it was to fire."""
    run, there = work.run, work.series
    recorded = recorded_names(files)
    names = sorted(run.metrics)
    place = _place(rule)
    for selector in _needed(rule.query.node):
        name = selector.name
        if not name or name in recorded or any(_matches(selector, each) for each in there):
            continue
        if name in names:
            return _other_values(selector, there, place)
        if ":" in name:
            return Message("alert_cause.not_recorded", name=name, place=place)
        if down := _down(run, rule):
            return Message("alert_cause.target", name=name, target=down[0], why=down[1])
        return Message("alert_cause.no_metric", name=name, near=_near(name, names), place=place)
    return _gone(run, rule)


def _gone(run: RecordedRun, rule: AlertRule) -> Message | None:
    """A target that had told the rule's series, and stopped before the alert was to fire."""
    begin_ns, end_ns = _time_to_fire(run.evidence, rule)
    during = [scrape for scrape in run.scrapes if begin_ns <= scrape.t_ns <= end_ns]
    for selector in _needed(rule.query.node):
        if (
            during
            and not any(_has(scrape, selector) for scrape in during)
            and (down := _down(run, rule))
        ):
            return Message(
                "alert_cause.target", name=selector.name or selector.text,
                target=down[0], why=down[1],
            )  # fmt: skip
    return None


def _has(scrape: LabelledScrape, selector: Selector) -> bool:
    return any(_matches(selector, labels) for labels, _ in scrape.values)


def _down(run: RecordedRun, rule: AlertRule) -> tuple[str, str] | None:
    """A target that told nothing for most of the time that the alert had to fire, and why."""
    begin_ns, end_ns = _time_to_fire(run.evidence, rule)
    lines = [e for e in run.evidence.evaluations if begin_ns <= e.t_ns <= end_ns]
    counts: dict[tuple[str, str], int] = {}
    for line in lines:
        for target, why in line.down.items():
            counts[target, why] = counts.get((target, why), 0) + 1
    most = max(counts, key=lambda each: counts[each], default=None)
    return most if most is not None and counts[most] > len(lines) / 3 else None


def _other_values(selector: Selector, there: Sequence[Labels], place: str) -> Message:
    """The matcher that fits no series of the metric, and the values that there are."""
    mine = [labels for labels in there if value_of(labels, NAME) == selector.name]
    for matcher in selector.matchers:
        if not any(matcher.accepts(labels) for labels in mine):
            values = sorted({value_of(labels, matcher.name) for labels in mine} - {""})
            wrong = f"{matcher.name}{matcher.op}{matcher.value!r}"
            return Message(
                "alert_cause.no_series", selector=selector.text, wrong=wrong,
                values=", ".join(values[:_SHOWN]) or "-", place=place,
            )  # fmt: skip
    wrong = ", ".join(f"{m.name}{m.op}{m.value!r}" for m in selector.matchers if m.name != NAME)
    return Message(
        "alert_cause.no_series", selector=selector.text, wrong=wrong, values="-", place=place
    )


def _matches(selector: Selector, labels: Labels) -> bool:
    return all(matcher.accepts(labels) for matcher in selector.matchers)


def _needed(node: Node) -> Iterator[Selector]:
    """The selectors of a tree but those of which the absence is asked for."""
    if isinstance(node, FunctionCall) and node.name.startswith("absent"):
        return
    if isinstance(node, Selector):
        yield node
    for child in children(node):
        yield from _needed(child)


def _near(name: str, known: Sequence[str]) -> str:
    """The names that may be meant, else some that there are, or "-"."""
    found = difflib.get_close_matches(name, known, n=_SHOWN, cutoff=0.6)
    return ", ".join(found or sorted(known)[:_SHOWN]) or "-"


def _longest_s(during: Sequence[RuleLook]) -> float | None:
    """For how long a rule held without a break, None where it never did."""
    longest = begun = None
    for look in during:
        if not look.holds:
            begun = None
            continue
        begun = look.t_ns if begun is None else begun
        longest = max(longest or 0, look.t_ns - begun)
    return None if longest is None else longest / NS


def _window_s(node: Node) -> float:
    return max((s.range_ns or 0 for s in selectors(node)), default=0) / NS
