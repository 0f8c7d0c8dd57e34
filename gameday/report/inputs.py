"""Inputs of a postmortem: the result, the journal, the samples, and what was run.

Nothing else is read, so a draft can be made again a year later on another machine. Every figure
that a section shows comes with where it stands: `#12` is record 12 of the journal, `@23.000` the
evaluation 23 s after t = 0, `traffic.failed` a place in `result.json`.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path

from gameday.core import files
from gameday.core.clock import NS
from gameday.core.errors import UnknownError
from gameday.evidence import journal
from gameday.evidence.drill_names import names_of, with_own_names
from gameday.evidence.effective import Effective
from gameday.evidence.events import (
    DrillStarted,
    E,
    FaultEvent,
    FaultInjecting,
    Phase,
    RunStarted,
    from_json,
)
from gameday.evidence.forgotten import hidden, replacing
from gameday.evidence.journal import Record, RecordOf
from gameday.evidence.model import Evidence
from gameday.evidence.read import read, read_effective
from gameday.evidence.timeline import traffic_begin_ns
from gameday.judge.baselines import Baselines, read_baselines
from gameday.judge.course import NOBODY, Course, course_of
from gameday.judge.result import CheckLine, Result
from gameday.judge.score import Score, score
from gameday.report.charts.series import NAMES, Curves, read_curves
from gameday.report.origin import Origin, origin_of
from gameday.report.people import Affected, Wrong, affected, wrongs_of
from gameday.telemetry import samples
from gameday.telemetry.failures import FAILED, FailedOutcome
from gameday.telemetry.samples import Evaluation, Scrape

_LARGEST_BYTES = 64 * files.MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillMaterial:
    """The parts that a drill has beyond a run. `roles` are the words for people, by name."""

    course: Course
    score: Score
    roles: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """One run directory as a postmortem sees it; times of day are None where none was recorded."""

    run_dir: Path
    result: Result
    effective: Effective | None
    records: Sequence[Record]
    journal_damage: str
    evaluations: Sequence[Evaluation]
    curves: Curves
    t0_ns: int
    has_traffic: bool
    drill: DrillMaterial | None = None
    wrongs: Sequence[Wrong] = ()
    span_s: tuple[float, float] | None = None  # of the damage, None where there was none
    affected: Affected | None = None  # None where the history cannot say
    origin: Origin = field(default_factory=Origin)

    def at_s(self, t_ns: int) -> float:
        """Seconds from t = 0."""
        return (t_ns - self.t0_ns) / NS

    @property
    def traffic_end_ns(self) -> float:
        """When the traffic ended, by its schedule or because the run did; never where it did not.

        A schedule ends before the run: faults that are in yet are taken out and looked at.
        """
        phases = journal.every(self.records, Phase)
        ending_ns = next((r.t_ns for r in phases if r.event.phase == "ending"), math.inf)
        if self.effective is None or not self.has_traffic:
            return ending_ns
        return min(ending_ns, self.t0_ns + round(self.effective.traffic_end_s * NS))

    @property
    def in_traffic(self) -> Sequence[Evaluation]:
        """The evaluations while somebody asked: without traffic no objective is breached.

        At the very beginning nobody has been answered yet.
        """
        end_ns = self.traffic_end_ns
        return [e for e in self.evaluations if self.t0_ns < e.t_ns <= end_ns]

    def first(self, kind: type[E]) -> RecordOf[E] | None:
        """The first record of a kind."""
        return journal.first(self.records, kind)

    def of_fault(self, id_: str, *kinds: type[FaultEvent]) -> list[Record | None]:
        """The first record of each kind that tells of one fault."""
        told = [r for r in journal.every(self.records, FaultEvent) if r.event.id == id_]
        return [journal.first(told, kind) for kind in kinds]

    def wall(self, at_s: float) -> datetime | None:
        """The time of day (UTC) of an instant of the run."""
        start = self.first(RunStarted)
        if start is None or start.event.wall_ns is None:
            return None
        since_start_s = at_s - self.at_s(start.t_ns)
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        return epoch + timedelta(microseconds=start.event.wall_ns // 1000, seconds=since_start_s)

    def check(self, name: str) -> CheckLine | None:
        """The line of a check in the result, None where it did not apply."""
        return next((check for check in self.result.checks if check.name == name), None)


def read_material(run_dir: Path) -> Material:
    """Read a run directory. Raises UnknownError where the run was never judged or is damaged."""
    result = _result(run_dir / "result.json")
    try:
        journaled = journal.read(run_dir / "journal.jsonl")
    except FileNotFoundError:
        journaled = journal.Journaled((), "")
    own = with_own_names(journaled.records, names_of(journaled.records))
    journaled = replace(journaled, records=tuple(own))
    path = run_dir / "samples.jsonl"
    lines = [*samples.read(path, wanted=NAMES)] if path.exists() else []
    evaluations = [line for line in lines if isinstance(line, Evaluation)]
    t0_ns = traffic_begin_ns(journaled.records)
    evidence = cache(partial(read, run_dir, evaluations))  # once, for all who need it
    drill = _drill(run_dir, journaled.records, evidence)
    records: Sequence[Record] = journaled.records
    if drill is not None:
        records, result = _by_roles(records, drill.roles), _result_by_roles(result, drill.roles)
    first_ns = next((each.t_ns for each in [*journaled.records, *lines]), 0)
    origin_ns = first_ns if t0_ns is None else t0_ns
    curves = read_curves([line for line in lines if isinstance(line, Scrape)], origin_ns)
    begun = journal.first(journaled.records, FaultInjecting)
    span_s = damage_span_s(
        result,
        curves,
        [round((each.t_ns - origin_ns) / NS, 3) for each in evaluations],
        None if begun is None else (begun.t_ns - origin_ns) / NS,
    )
    effective, wrongs = read_effective(run_dir), wrongs_of(result, evidence)
    return Material(
        run_dir=run_dir,
        result=result,
        effective=effective,
        records=records,
        journal_damage=journaled.damage,
        evaluations=evaluations,
        curves=curves,
        t0_ns=origin_ns,
        has_traffic=t0_ns is not None,
        drill=drill,
        wrongs=wrongs,
        span_s=span_s,
        origin=origin_of(result, wrongs, evidence),
        affected=(
            None if span_s is None else affected(run_dir, origin_ns, span_s, failed_of(effective))
        ),
    )


def failed_of(effective: Effective | None) -> Sequence[FailedOutcome]:
    """Outcomes that count as failed in a run."""
    return FAILED if effective is None else effective.failed


def damage_span_s(
    result: Result, curves: Curves, looks_s: Sequence[float], fault_s: float | None
) -> tuple[float, float] | None:
    """From the damage until it was over, or until the last sample; None where there was none.

    A look that finds an objective breached tells of what came before it: of the time since the look
    before, but not since before the first fault. A wrong coupon tells of its own instant.
    """
    found_s, lasted_s = result.clocks.damage_at, result.clocks.recovered_after_s
    if found_s is None or not len(curves.t_s):
        return None
    end_s = float(curves.t_s[-1]) if lasted_s is None else found_s + lasted_s
    if found_s not in looks_s:
        return found_s, end_s
    start_s = max((each for each in looks_s if each < found_s), default=0.0)
    if fault_s is not None and fault_s <= found_s:
        start_s = max(start_s, fault_s)
    return max(start_s, 0.0), end_s


def _drill(
    run_dir: Path, records: Sequence[Record], evidence: Callable[[], Evidence]
) -> DrillMaterial | None:
    """The course and the score of a drill; None where it is none."""
    if journal.first(records, DrillStarted) is None:
        return None
    course = course_of(evidence())
    try:
        baselines: Baselines = read_baselines(run_dir)
    except UnknownError:
        baselines = {}
    return DrillMaterial(
        course=course, score=score(course, baselines), roles=roles_of(course.people)
    )


def roles_of(people: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    """A word for each person where no name may stand: the role, numbered where two have it."""
    named = [(name, role or "responder") for name, role in people if name not in NOBODY]
    often = Counter(role for _, role in named)
    seen: Counter[str] = Counter()
    found = {}
    for name, role in named:
        seen[role] += 1
        found[name] = role if often[role] == 1 else f"{role} {seen[role]}"
    return found


def _by_roles(records: Sequence[Record], roles: Mapping[str, str]) -> Sequence[Record]:
    """The records with roles in place of names, in who did something and in every text."""
    hide = replacing(roles)
    return [
        replace(each, event=from_json(each.event.kind, hidden(each.data, hide))) for each in records
    ]


def _result_by_roles(result: Result, roles: Mapping[str, str]) -> Result:
    steps = [replace(step, by=roles.get(step.by or "", step.by)) for step in result.playbook]
    return replace(result, playbook=steps)


def _result(path: Path) -> Result:
    try:
        return Result.from_bytes(files.read_bytes(path, _LARGEST_BYTES))
    except FileNotFoundError as error:
        raise UnknownError(
            f"{path.parent}: there is no {path.name} to report on",
            help="the run was not judged: see its journal.jsonl",
        ) from error
    except OSError as error:
        raise UnknownError(f"{path}: {error.strerror}", help=files.HELP) from error
    except ValueError as error:
        raise UnknownError(f"{path}: {error}", help="gameday check judges a run again") from error
