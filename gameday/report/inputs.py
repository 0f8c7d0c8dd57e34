"""Inputs of a postmortem: the result, the journal, the samples, and what was run.

Nothing else is read, so a draft can be made again a year later on another machine. Every figure
that a section shows comes with where it stands: `#12` is record 12 of the journal, `@23.000` the
evaluation 23 s after t = 0, `traffic.failed` a place in `result.json`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from gameday.core import files
from gameday.core.clock import NS
from gameday.core.errors import UnknownError
from gameday.evidence import journal
from gameday.evidence.events import E, FaultEvent, RunStarted
from gameday.evidence.journal import Record, RecordOf
from gameday.evidence.timeline import traffic_begin_ns
from gameday.report.charts.series import Curves, read_curves
from gameday.telemetry import samples
from gameday.telemetry.samples import Evaluation, Scrape

_LARGEST_BYTES = 64 * files.MIB
Json = Mapping[str, Any]


class _Shown(BaseModel):
    """The fields of `effective.json` that a page shows; in any other form nothing is shown."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)

    experiment: "_Told"
    playbook: "_Steps | None" = None
    stock: int | None = None
    traffic_end_s: float = 0.0
    no_responder: bool = False


class _Told(BaseModel):
    title: str = ""
    hypothesis: str = ""
    method: list[dict[str, Any]] = []


class _Steps(BaseModel):
    steps: "list[_Step]"


class _Step(BaseModel):
    number: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """One run directory as a postmortem sees it; times of day are None where none was recorded."""

    run_dir: Path
    result: Json
    effective: Json
    records: Sequence[Record]
    journal_damage: str
    evaluations: Sequence[Evaluation]
    curves: Curves
    t0_ns: int
    has_traffic: bool

    def at_s(self, t_ns: int) -> float:
        """Seconds from t = 0."""
        return (t_ns - self.t0_ns) / NS

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

    @property
    def experiment(self) -> Json:
        found: Json = self.effective.get("experiment", {})
        return found

    @property
    def traffic(self) -> Json:
        found: Json = self.result.get("traffic") or {}
        return found

    @property
    def clocks(self) -> Json:
        found: Json = self.result.get("clocks") or {}
        return found

    def part(self, name: str) -> Sequence[Json]:
        """A list of `result.json`: `checks`, `faults`, `alerts`, `playbook`."""
        found: Sequence[Json] = self.result.get(name) or ()
        return found

    def check(self, name: str) -> Json | None:
        """The line of a check in the result, None where it did not apply."""
        return next((check for check in self.part("checks") if check["name"] == name), None)


def read_material(run_dir: Path) -> Material:
    """Read a run directory. Raises UnknownError where the run was never judged or is damaged."""
    result = _document(run_dir / "result.json")
    if result is None:
        raise UnknownError(
            f"{run_dir}: there is no result.json to report on",
            help="the run was not judged: see its journal.jsonl",
        )
    try:
        journaled = journal.read(run_dir / "journal.jsonl")
    except FileNotFoundError:
        journaled = journal.Journaled((), "")
    lines = list(_lines(run_dir / "samples.jsonl"))
    t0_ns = traffic_begin_ns(journaled.records)
    origin_ns = t0_ns if t0_ns is not None else _first_ns([*journaled.records, *lines])
    return Material(
        run_dir=run_dir,
        result=result,
        effective=_effective(run_dir / "inputs" / "effective.json"),
        records=journaled.records,
        journal_damage=journaled.damage,
        evaluations=[line for line in lines if isinstance(line, Evaluation)],
        curves=read_curves([line for line in lines if isinstance(line, Scrape)], origin_ns),
        t0_ns=origin_ns,
        has_traffic=t0_ns is not None,
    )


def _effective(path: Path) -> Json:
    """The content of `effective.json`; empty if it cannot be read, as the result says then."""
    try:
        found = _document(path)
    except UnknownError:
        return {}
    try:
        _Shown.model_validate(found)
    except ValueError:
        return {}
    return found or {}


def _document(path: Path) -> Json | None:
    try:
        found: Json = json.loads(files.read_bytes(path, _LARGEST_BYTES))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnknownError(f"{path}: {error.strerror}", help=files.HELP) from error
    except ValueError as error:
        raise UnknownError(f"{path}: is not JSON: {error}") from error
    return found


def _lines(path: Path) -> Iterator[Evaluation | Scrape]:
    if path.exists():
        yield from samples.read(path)


def _first_ns(recorded: Sequence[Record | Evaluation | Scrape]) -> int:
    return recorded[0].t_ns if recorded else 0
