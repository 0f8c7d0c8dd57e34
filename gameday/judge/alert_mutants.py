"""Mutation testing of alert rules: which wrong rules the recorded runs would have told of.

A mutant is noticed by a run whose expectations of alerts hold with the rules as they are, and do
not with the mutant in place of one; or that would have ended before its first fault, because an
alert of its own fires by then. A mutant that no run notices is an alert that no drill tests.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gameday.core.errors import UnknownError
from gameday.core.messages import Message
from gameday.judge.alert_replay import RecordedRun, Replayed, contract, play
from gameday.judge.checks.alerts import VALIDITY, AlertStatus
from gameday.judge.verdict import Validity, worst
from gameday.telemetry.alerts.mutants import Mutant, mutants
from gameday.telemetry.alerts.rules import (
    ALERTS,
    ALERTS_FOR_STATE,
    AlertRule,
    RecordingRule,
    RuleFile,
)
from gameday.telemetry.promql.nodes import selectors


@dataclass(frozen=True, slots=True)
class MutantOutcome:
    """One mutant, and the runs that noticed it, each with the status that told."""

    mutant: Mutant
    noticed_by: Sequence[tuple[str, AlertStatus]]


@dataclass(frozen=True, slots=True)
class MutationReport:
    """All mutants, and the runs that could not be used, each with why."""

    outcomes: Sequence[MutantOutcome]
    used: Sequence[str]
    left_out: Sequence[tuple[str, str]]

    @property
    def survivors(self) -> list[Mutant]:
        """The mutants that no run noticed."""
        return [each.mutant for each in self.outcomes if not each.noticed_by]


def mutate(runs: Sequence[RecordedRun], files: Sequence[RuleFile]) -> MutationReport:
    """Every mutant of every alerting rule, held to every run that the rules themselves satisfy."""
    used: list[tuple[RecordedRun, Replayed]] = []
    left_out: list[tuple[str, str]] = []
    for run in runs:
        try:
            base = play(run, files)
            found = contract(run, base)
        except UnknownError as error:
            left_out.append((run.evidence.name, error.message))
            continue
        wrong = next((each for each in found if _validity(each) is not Validity.VALID), None)
        if wrong is not None:
            left_out.append((run.evidence.name, f"{wrong.alert}: {wrong.status}"))
        else:
            used.append((run, base))
    every = [mutant for file in files for rule in file.alerts for mutant in mutants(rule)]
    found_by: defaultdict[int, list[tuple[str, AlertStatus]]] = defaultdict(list)
    for run, base in used:
        for n, mutant in enumerate(every):
            status = _noticed(run, base, files, mutant)
            if status is not None:
                found_by[n].append((run.evidence.name, status))
    outcomes = [MutantOutcome(mutant, found_by[n]) for n, mutant in enumerate(every)]
    return MutationReport(outcomes, [run.evidence.name for run, _ in used], left_out)


def _noticed(
    run: RecordedRun, base: Replayed, files: Sequence[RuleFile], mutant: Mutant
) -> AlertStatus | None:
    """The expectation that the mutant breaks, None where all still hold."""
    whole = any(_reads_alerts(file) for file in files)
    changed = list(_changed(files, mutant, whole=whole))
    again = play(run, changed)
    lines = again.lines
    if not whole:
        name = mutant.of.alert
        others = [[a for a in alerts if a.name != name] for _, alerts in base.lines]
        pairs = zip(again.lines, others, strict=True)
        lines = [(t_ns, [*rest, *alerts]) for (t_ns, alerts), rest in pairs]
    played = Replayed(lines, again.problems)
    if not_steady := _not_steady(run, played):
        return not_steady
    statuses = contract(run, played)
    if worst([_validity(each) for each in statuses] or [Validity.VALID]) is not Validity.INVALID:
        return None
    return next(each for each in statuses if _validity(each) is Validity.INVALID)


def _not_steady(run: RecordedRun, played: Replayed) -> AlertStatus | None:
    """The alert for which the run would have ended before its first fault, as `run.guards` does."""
    first_ns = min(
        (f.injecting_ns for f in run.evidence.timeline.faults if f.injecting_ns), default=0
    )
    before = [alerts for t_ns, alerts in played.lines if t_ns < first_ns]
    book, expect = run.evidence.plan.playbook, run.evidence.experiment.expect
    own = {each.alert for each in expect.alerts} | set(book.head.alerts if book is not None else ())
    firing = sorted(a.name for a in (before or [[]])[-1] if a.state == "firing" and a.name in own)
    if not firing:
        return None
    why = Message("alert.was_firing")
    expected = any(each.alert == firing[0] for each in expect.alerts)
    return AlertStatus(alert=firing[0], expected=expected, status="unknown", why=why)


def _changed(files: Sequence[RuleFile], mutant: Mutant, *, whole: bool) -> Iterator[RuleFile]:
    """The files with the mutant in its place; of other alerts only what `whole` asks for."""
    for file in files:
        groups = []
        for group in file.groups:
            rules: list[AlertRule | RecordingRule] = []
            for rule in group.rules:
                if rule is mutant.of:
                    rules += [mutant.rule] if mutant.rule is not None else []
                elif whole or isinstance(rule, RecordingRule) or rule.alert == mutant.of.alert:
                    rules.append(rule)
            groups.append(replace(group, rules=tuple(rules)))
        yield replace(file, groups=tuple(groups))


def _reads_alerts(file: RuleFile) -> bool:
    """Some rule may read the alerts of others, so that no rule can be evaluated without them."""
    names = [each.name for query in file.queries for each in selectors(query.node)]
    return any(name in ("", ALERTS, ALERTS_FOR_STATE) for name in names)


def _validity(status: AlertStatus) -> Validity:
    return VALIDITY.get(status.status, Validity.INVALID)
