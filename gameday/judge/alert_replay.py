"""A recorded run through other alert rules: what would have fired, and whether it would have done.

The samples of the run are played through the rules (`telemetry.alerts.replay`), and the alerts
that come of it are held to the experiment's expectations as those of the run were.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

from gameday.core.errors import UnknownError, UsageError
from gameday.evidence.events import RunStarted
from gameday.evidence.journal import first
from gameday.evidence.model import Evidence
from gameday.evidence.read import read
from gameday.judge.checks.alerts import (
    AlertStatus,
    Episode,
    Line,
    episodes,
    has_rules,
    recorded_lines,
    statuses_by,
)
from gameday.spec.yaml import shown_path
from gameday.telemetry.alerts.replay import LabelledScrape, labelled, replay
from gameday.telemetry.alerts.rules import RuleFile
from gameday.telemetry.samples import AlertLine, Evaluation
from gameday.telemetry.samples import read as read_samples
from gameday.telemetry.sources.choice import prometheus_of


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A run with its samples; `rules` are the files that it was measured by."""

    evidence: Evidence
    samples: Sequence[Evaluation | LabelledScrape]
    rules: Sequence[Path]
    wall_offset_ns: int
    metrics: frozenset[str]
    """The names of all metrics that were told, those that were not read too."""

    @property
    def scrapes(self) -> list[LabelledScrape]:
        """The scrapes alone."""
        return [line for line in self.samples if isinstance(line, LabelledScrape)]


@dataclass(frozen=True, slots=True)
class Replayed:
    """The alerts of each instant by some rules, and why rules had no value, by rule."""

    lines: Sequence[Line]
    problems: dict[str, str]

    @property
    def episodes(self) -> list[Episode]:
        """Each time that an alert was on."""
        return episodes(self.lines)


class _Names:
    """The names of metrics that are wanted (None: all), and of all that were asked about."""

    def __init__(self, wanted: Container[str] | None) -> None:
        self._wanted = wanted
        self.met: set[str] = set()

    def __contains__(self, name: object) -> bool:
        self.met.add(str(name))
        return self._wanted is None or name in self._wanted


def rules_of(run_dir: Path) -> list[Path]:
    """The rule files that a run was measured by."""
    folder = run_dir / "inputs" / "rules"
    return sorted(each for each in folder.iterdir() if each.is_file()) if folder.is_dir() else []


def load_run(
    run_dir: Path, evidence: Evidence | None = None, wanted: Container[str] | None = None
) -> RecordedRun:
    """A run that rules can be replayed over; its evidence, where it was read already.

    Its scrapes have the metrics that are `wanted`, or all.

    Raises UsageError where it is none, or was measured by a Prometheus: what that one read for its
    rules is not recorded. Raises UnknownError where the run has no samples.
    """
    evidence = evidence or read(run_dir)
    path = run_dir / "samples.jsonl"
    if not path.exists():
        raise UnknownError(f"{shown_path(run_dir)}: the run recorded no samples")
    plan = evidence.plan
    if prometheus_of(plan.experiment, plan.system) is not None:
        raise UsageError(
            f"{shown_path(run_dir)}: its alerts are those of a Prometheus, and what that one read"
            " for them is not recorded",
            help="replay a run of a stack without one: gameday run, without prometheus: in the"
            " system file",
        )
    started = first(evidence.journal, RunStarted)
    offset_ns = 0
    if started is not None and started.event.wall_ns is not None:
        offset_ns = started.event.wall_ns - started.t_ns
    names = _Names(wanted)
    samples = labelled(read_samples(path, wanted=names))
    return RecordedRun(evidence, samples, rules_of(run_dir), offset_ns, frozenset(names.met))


def play(run: RecordedRun, files: Sequence[RuleFile]) -> Replayed:
    """The run through these rules."""
    lines: list[Line] = []
    problems: dict[str, str] = {}
    for instant in replay(run.samples, files, run.wall_offset_ns):
        problems |= instant.problems
        lines.append(
            (
                instant.t_ns,
                [AlertLine(dict(a.labels), a.state, a.active_at_ns) for a in instant.alerts],
            )
        )
    return Replayed(lines, problems)


def recorded_episodes(run: RecordedRun) -> list[Episode]:
    """Each time that an alert was on in the run itself."""
    return episodes(recorded_lines(run.evidence))


def contract(run: RecordedRun, replayed: Replayed) -> list[AlertStatus]:
    """The experiment's expectations of alerts, held to what was replayed.

    Raises MissingEvidenceError where the run lacks what they count from.
    """
    if not has_rules(run.evidence):
        return []
    return statuses_by(run.evidence, replayed.lines)
