"""The evidence of one run, as the checks see it.

Each part comes through an accessor that either returns it or raises `MissingEvidenceError` with
the reason it is not there; so no check needs to ask, and none can forget to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from gameday.core.errors import UnknownError
from gameday.evidence.attempts import Attempts
from gameday.evidence.audit import Audit
from gameday.evidence.effective import Effective
from gameday.evidence.journal import Record
from gameday.evidence.log_file import LogEvidence
from gameday.evidence.outages import Anchors
from gameday.evidence.timeline import Act, FaultWindow, StepRun, Timeline
from gameday.spec.experiment import Experiment
from gameday.spec.system import Semantics
from gameday.telemetry.latency_bounds import tightest_bound_ms
from gameday.telemetry.samples import Evaluation
from gameday.traffic.history import History
from gameday.traffic.metrics import About, GeneratorStatus, Rule, generator, request_tags
from gameday.traffic.metrics.k6_metrics import Window
from gameday.traffic.step_log import StepLog
from gameday.traffic.vitals import Vitals

FOREVER = 2**62
ACTED = frozenset({"done", "interrupted"})
Part = Literal["effective", "journal", "history", "samples", "vitals", "audit", "logs", "reaper"]


class MissingEvidenceError(UnknownError):
    """A part of the run directory is absent or damaged; the message says which and how."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A run directory as read. `problems` says what could not be read, by part.

    `folder` is where its samples and rules still stand; None where it stands nowhere. `derived` are
    what judging has made of it at some cost, and asks for more than once: by the type of it.
    """

    name: str
    effective: Effective | None
    journal: tuple[Record, ...]
    timeline: Timeline
    anchors: Anchors
    histories: tuple[History, ...]
    attempts: Attempts
    evaluations: tuple[Evaluation, ...]
    audit: Audit | None
    vitals: Vitals
    problems: Mapping[Part, str]
    folder: Path | None = None
    logs: LogEvidence | None = None
    step_logs: tuple[StepLog, ...] = ()
    derived: dict[type, Sequence[object]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @cached_property
    def generator(self) -> GeneratorStatus:
        """Status of the traffic generator: how well the workers kept their schedule."""
        return generator(
            self.asked.records,
            tightest_bound_ms(self.experiment),
            until_ns=self.anchors.traffic_end_ns,
            vitals=self.vitals,
            rule=Rule(**self.plan.generator),
        )

    @property
    def plan(self) -> Effective:
        """The files and facts that were run."""
        if self.effective is None:
            raise MissingEvidenceError(f"effective.json: {self._why('effective')}")
        return self.effective

    @property
    def experiment(self) -> Experiment:
        return self.plan.experiment

    @property
    def stock(self) -> int:
        """The number of coupons."""
        if self.plan.stock is None:
            raise MissingEvidenceError("the stock is not known: no campaign was begun")
        return self.plan.stock

    @property
    def semantics(self) -> Semantics:
        """Promises of the system."""
        return self.plan.system.semantics

    @property
    def issues(self) -> int:
        """The number of issues that the stock allows: an issue may take more than one of it."""
        return self.semantics.issues_of(self.stock)

    @property
    def t0_ns(self) -> int:
        """When the traffic schedule began."""
        if self.timeline.t0_ns is None:
            raise MissingEvidenceError("no traffic was started")
        return self.timeline.t0_ns

    @property
    def traffic_end_ns(self) -> int:
        """When the traffic ended, by its schedule or early."""
        if self.anchors.traffic_end_ns is None:
            raise MissingEvidenceError("no traffic was started")
        return self.anchors.traffic_end_ns

    @property
    def asked(self) -> Attempts:
        """Everything that was asked, if anything was."""
        if "history" in self.problems:
            raise MissingEvidenceError(f"history: {self.problems['history']}")
        if not len(self.attempts):
            raise MissingEvidenceError("nothing was asked")
        return self.attempts

    @property
    def audited(self) -> Audit:
        """Content of the stores in the end."""
        if self.audit is None:
            raise MissingEvidenceError(f"audit.json: {self._why('audit')}")
        return self.audit

    @property
    def searched_logs(self) -> LogEvidence:
        """What was found in the service's logs."""
        if self.logs is None:
            raise MissingEvidenceError(f"logs.json: {self._why('logs')}")
        return self.logs

    @property
    def readings(self) -> tuple[Evaluation, ...]:
        """Evaluations, one a second."""
        if not self.evaluations or "samples" in self.problems:
            raise MissingEvidenceError(f"samples.jsonl: {self._why('samples')}")
        return self.evaluations

    def fault(self, id_: str) -> FaultWindow:
        """The window of a fault; one that was never begun has no times."""
        found = (fault for fault in self.timeline.faults if fault.id == id_)
        return next(found, FaultWindow(id=id_))

    @property
    def planned_faults(self) -> list[FaultWindow]:
        """A window for each fault of the experiment, in its order; some may never have begun."""
        return [self.fault(fault.id or "") for fault in self.experiment.method]

    @property
    def steps(self) -> Sequence[StepRun]:
        """The steps of the experiment's own playbook as they were worked; others are `acts`."""
        book = self.plan.playbook
        own = {"", book.head.name if book is not None else ""}
        return [run for run in self.timeline.steps if run.playbook in own]

    def seconds(self, t_ns: int | None) -> float | None:
        """An instant in seconds from t = 0, with 3 decimals."""
        return None if t_ns is None else round((t_ns - self.t0_ns) / 1e9, 3)

    @property
    def pauses(self) -> list[tuple[int, int]]:
        """From when to when a step refused requests on purpose: until its undo was done.

        A step that was found not to be needed refused nothing. One that failed may have acted,
        and then it was taken back.
        """
        refusing = {step.number: step.block for step in self.plan.steps if step.block.refuses}
        undone = {run.step for run in self.steps if run.undoing}
        steps = [
            (run.started_ns, self._end_of(run, refusing[run.step].undo or ""))
            for run in self.steps
            if run.step in refusing
            and not run.undoing
            and run.started_ns is not None
            and (run.status in ACTED or run.step in undone)
        ]
        undoes = {block.do: block.undo or "" for block in refusing.values()}
        return steps + [
            (run.started_ns, self._end_of(run, undoes[run.do]))
            for run in self.timeline.actions
            if run.do in undoes
            and not run.undoing
            and run.started_ns is not None
            and run.status in ACTED
        ]

    def _end_of(self, paused: Act, undo: str) -> int:
        """The end of a pause: its undo, or that action by itself, after it."""
        since_ns = paused.started_ns or 0
        ends = [
            run.ended_ns for run in self.timeline.acts if run.undoing and run.name == paused.name
        ]
        ends += [run.ended_ns for run in self.timeline.actions if undo and run.do == undo]
        later = (t_ns for t_ns in ends if t_ns is not None and t_ns > since_ns)
        return min(later, default=self.traffic_end_ns)

    @property
    def about(self) -> About:
        """Facts about requests that thresholds may select by, and that the records do not hold."""
        issue = self.plan.system.requests.issue
        return About(
            tags=request_tags(issue.method, issue.path),
            windows=windows(self.timeline),
            apart=self.pauses,
        )

    def _why(self, part: Part) -> str:
        return self.problems.get(part, "nothing was recorded")


def windows(line: Timeline) -> Mapping[str, Sequence[Window]]:
    """The stretches of a run by name, in order; none where there was no fault.

    `before` ends where the first fault was being injected; `during-<id>` is from its injection
    to its removal; `after-<id>` from there until another fault came. A request belongs where it was
    due, so one that was asked before a fault and answered in it is of before. They are k6 tags:
    `http_req_duration{window:during-network-latency-1}`.
    """
    faults = sorted(
        (fault for fault in line.faults if fault.injecting_ns is not None),
        key=lambda fault: fault.injecting_ns or 0,
    )
    if not faults:
        return {}
    begun = [fault.injecting_ns or 0 for fault in faults]
    found: dict[str, Sequence[Window]] = {"before": [(line.t0_ns or 0, begun[0])]}
    for fault in faults:
        begin_ns = fault.injecting_ns if fault.injected_ns is None else fault.injected_ns
        end_ns = FOREVER if fault.removed_ns is None else fault.removed_ns
        found[f"during-{fault.id}"] = [(begin_ns or 0, end_ns)]
        if end_ns < FOREVER:
            following = min((t for t in begun if t >= end_ns), default=FOREVER)
            found[f"after-{fault.id}"] = [(end_ns, following)]
    return found
