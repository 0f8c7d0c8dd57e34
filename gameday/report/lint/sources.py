"""Evidence of a run under each reference that a report can give.

`#12` is record 12 of the journal, `@23.000` the sample at that instant, a dotted name a place in
`result.json`. Only the files are asked, never the code that writes a report: a number that the
report made up is in none of them.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import cached_property
from itertools import combinations
from typing import Any, Final

import numpy as np

from gameday.core import files
from gameday.core.digests import digest_of
from gameday.evidence.effective import dump
from gameday.evidence.journal import Record
from gameday.report.charts.series import Curve
from gameday.report.inputs import Material, failed_of
from gameday.report.lint.blocks import DraftBlock
from gameday.report.lint.numbers import TIME_UNITS, ShownNumber, leaves, numbers_in, split
from gameday.report.people import LATE_S
from gameday.report.sections.actions import item_id
from gameday.report.sections.people import NAMED

Leaf = float | str
_ALIKE_S: Final = 0.0006  # references to instants have three decimals
_REFERENCE: Final = re.compile(
    r"#\d+|@-?\d+\.\d{3}|"
    r"(?:traffic|clocks|checks|alerts|faults|logs|playbook|missing|metrics)(?:[.\[].*)?"
)
_PLACE: Final = re.compile(r"((?:(?:logs|inputs|history)/|certificate-)[^:]+)(?::(\d+))?")
_MOST_REFERENCES: Final = 40  # of one block; a sentence with more says nothing
_MOST_ITEMS: Final = 50  # a run breaks no more expectations
_LARGEST_BYTES: Final = 64 * files.MIB
PERCENTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


class Sources:
    """The evidence of one run, by reference."""

    def __init__(self, material: Material) -> None:
        self._m = material
        self._result: Any = self._json("result.json")
        self._effective: Any = self._json("inputs/effective.json")
        self._records = {record.seq: record for record in material.records}
        self._known: dict[str, tuple[list[float], list[str]] | None] = {}

    def of(self, reference: str) -> tuple[list[float], list[str]] | None:
        """The numbers and texts under a reference; None where it leads nowhere."""
        if reference not in self._known:
            found = self._find(reference)
            self._known[reference] = None if found is None else split(found)
        return self._known[reference]

    @cached_property
    def general(self) -> tuple[list[float], list[str]]:
        """Facts for sentences without a reference: the run itself, and what was planned."""
        result = self._result if isinstance(self._result, dict) else {}
        head = [value for value in result.values() if not isinstance(value, dict | list)]
        said = [
            each.get(key)
            for name in ("checks", "not_applicable", "missing")
            for each in result.get(name) or ()
            for key in ("name", "summary", "lacks", "why")
        ]
        generator = (result.get("traffic") or {}).get("generator")
        facts = leaves([head, said, self._effective, generator])
        damage = self._m.journal_damage
        return split(
            [*facts, *self._dates(head), damage, float(len(self._m.records)), *self.of_drill[0]]
        )

    @cached_property
    def words(self) -> str:
        """Every text of the evidence, to look for names that have a digit."""
        data = [record.data for record in self._m.records]
        kinds = [record.event.kind for record in self._m.records]
        texts = [
            each
            for each in leaves([self._result, self._effective, data, kinds, self._roles()])
            if isinstance(each, str)
        ]
        texts += [*self.of_drill[1], *self._items()]
        every = self._m.evaluations
        readings = set[str]().union(*(each.readings for each in every))  # the same in nearly all
        alerts = {str(alert.labels.get("alertname", "")) for each in every for alert in each.alerts}
        names = [*map(_objective, readings), *alerts]
        return "\n".join([*texts, *names, *self._files, *PERCENTILES, *self.general[1]])

    def _items(self) -> list[str]:
        """The names that action items of this run may have."""
        return [item_id(self._m.result.run, number) for number in range(1, _MOST_ITEMS + 1)]

    @cached_property
    def _files(self) -> dict[str, tuple[int, str]]:
        """Size and SHA-256 of each file of the run, by its path."""
        found = {}
        for path in sorted(self._m.run_dir.rglob("*")):
            with suppress(OSError, ValueError):
                if path.is_file() and not path.is_symlink():
                    name = path.relative_to(self._m.run_dir).as_posix()
                    found[name] = (path.stat().st_size, digest_of(path))
        return found

    def of_file(self, text: str) -> tuple[list[float], list[str]]:
        """Size and sum of the file that a row begins with; of a file that was run, its sum."""
        name = text.partition(" ")[0]
        if name in self._files:
            size, sum_ = self._files[name]
            return [float(size)], [sum_]
        start = next((r.data for r in self._m.records if r.event.kind == "run.started"), {})
        sums = start.get("inputs")
        return [], [str(sums.get(name, ""))] if isinstance(sums, dict) else []

    def is_reference(self, code: str) -> bool:
        """True if the code says where something is recorded, though it may lead nowhere."""
        return (
            bool(_REFERENCE.fullmatch(code))
            or code in self._checks
            or code in self._faults
            or _PLACE.match(code) is not None
        )

    def is_check(self, name: str) -> bool:
        """True if the result has a check of this name."""
        return name in self._checks

    @cached_property
    def charted(self) -> list[float]:
        """The lowest and the highest of each curve, and when that was: a chart in words."""
        curves, found = self._m.curves, dict[str, Curve]()
        for name, q in PERCENTILES.items():
            found[name] = curves.percentile(q) * 1000
        for name, counter in [*curves.answers.items(), ("drops", curves.drops)]:
            found[name] = curves.per_s(counter)
        values = [end for curve in found.values() for end in _ends(curves.t_s, curve)]
        figures = defaultdict[str, list[tuple[float, float]]](list)
        for at_s, each in zip(self._evaluated_at_s.tolist(), self._m.evaluations, strict=True):
            for name, value in each.figures.items():
                if value is not None:
                    figures[name].append((at_s, value * 1000))
        for known in figures.values():
            lines = np.array(known, dtype=np.float64)
            values += _ends(lines[:, 0], lines[:, 1])
        return values

    @cached_property
    def _checks(self) -> frozenset[str]:
        return frozenset(each.name for each in self._m.result.checks)

    @cached_property
    def _faults(self) -> Any:
        """Parameters asked of each fault, with the defaults of its kind."""
        method = self._m.effective.experiment.method if self._m.effective else ()
        by_id = {fault.id: dump(fault) for fault in method if fault.id}
        by_kind = {
            each.fault: [dump(one) for one in method if one.fault == each.fault] for each in method
        }
        return {**by_id, **by_kind}

    def delays(self, references: Sequence[str]) -> list[float]:
        """Instants under the references, and how long after one another they lie."""
        own = [at for each in references for at in self._instants(each)]
        every = [*own, *self._turns]
        return [*every, *(abs(a - b) for a in own or self._turns for b in every)]

    def growth(self, references: Sequence[str]) -> list[float]:
        """By how much the failures grew between two samples."""
        ats = [float(each[1:]) for each in references if each.startswith("@")]
        where = [i for i in map(self._nearest, ats) if i is not None]
        totals = [self._totals(i) for i in where]
        return [abs(x - y) for a, b in combinations(totals, 2) for x, y in zip(a, b, strict=True)]

    def surplus(self, references: Sequence[str]) -> list[float]:
        """The issues that the stock allows, and the rows of an audit beyond them.

        Where both are referred to.
        """
        effective = self._m.effective
        if "inputs/effective.json" not in references or effective is None:
            return []
        if effective.stock is None:
            return []
        issues = effective.system.semantics.issues_of(effective.stock)
        records = (self._records.get(int(each[1:])) for each in references if each[0] == "#")
        rows = [record.data.get("rows") for record in records if record is not None]
        beyond = [float(max(0, each - issues)) for each in rows if isinstance(each, int)]
        return [float(issues), *beyond]

    @cached_property
    def _turns(self) -> list[float]:
        """The instants that reports count from: of the faults, the damage and the alerts."""
        result = self._m.result
        clocks = result.clocks
        found = [f.injected_at for f in result.faults] + [f.removed_at for f in result.faults]
        found += [a.fired_at for a in result.alerts]
        begun = (r for r in self._m.records if r.event.kind == "fault.injecting")
        found += [self._m.at_s(record.t_ns) for record in begun]
        if clocks.damage_at is not None:
            turns = ("detected", "acknowledged", "mitigated", "recovered")
            after = [clocks.after_s(name) for name in turns]
            found += [clocks.damage_at, *(clocks.damage_at + s for s in after if s is not None)]
        return [each for each in found if each is not None]

    def _instants(self, reference: str) -> list[float]:
        if reference.startswith("@"):
            return [float(reference[1:])]
        if reference.startswith("#"):
            record = self._records.get(int(reference[1:]))
            return [] if record is None else [self._m.at_s(record.t_ns)]
        if place := _PLACE.match(reference):
            return [*self._instant_of_line(place[1], int(place[2] or 0))]
        place = _walk(self._result, reference)
        if isinstance(place, int | float) and reference.endswith("_at"):
            return [float(place)]
        own = place if isinstance(place, dict) else {}
        return [v for k, v in own.items() if k.endswith("_at") and isinstance(v, int | float)]

    def _instant_of_line(self, name: str, line: int) -> Iterator[float]:
        """Instant at which a line of a log was written, if it says so."""
        zero = self._m.wall(0.0)
        for leaf in self._of_line(name, line) or () if line and zero else ():
            with suppress(ValueError, TypeError):
                if isinstance(leaf, str) and zero is not None:
                    yield (datetime.fromisoformat(leaf) - zero).total_seconds()

    def _json(self, name: str) -> Any:
        try:
            raw = files.read_bytes(self._m.run_dir / name, _LARGEST_BYTES)
            return json.loads(raw)
        except (OSError, ValueError, RecursionError):
            return None

    def _find(self, reference: str) -> list[Leaf] | None:
        if reference.startswith("#"):
            record = self._records.get(int(reference[1:]))
            return None if record is None else [*self._of_record(record)]
        if reference.startswith("@"):
            return self._of_sample(float(reference[1:]))
        if reference in self._faults:
            return [*leaves(self._faults[reference])]
        if reference in self._checks:
            return self._of_result(f"checks.{reference}")
        if place := _PLACE.match(reference):
            return self._of_line(place[1], int(place[2] or 0))
        return self._of_result(reference)

    def _of_line(self, name: str, line: int) -> list[Leaf] | None:
        """A line of a file of the run, or all of a small one of JSON."""
        if name not in self._files:
            return None
        if name.startswith("history/"):
            return [*self._affected(), name]
        if not line:
            return [*leaves(self._json(name)), name]
        raw = files.read_bytes(self._m.run_dir / name, _LARGEST_BYTES).split(b"\n")
        if line > len(raw):
            return None
        text = raw[line - 1].decode(errors="replace")
        with suppress(ValueError, RecursionError):
            return [*leaves(json.loads(text)), f"{name}:{line}"]
        return [text, f"{name}:{line}"]

    def _affected(self) -> Iterator[float]:
        """How many requests and people were affected, as only the history knows."""
        found, span_s = self._m.affected, self._m.span_s
        if found is not None and span_s is not None:
            yield from (float(found.failed), float(found.late), float(found.people))
            yield from (*span_s, LATE_S)

    def _of_record(self, record: Record) -> Iterator[Leaf]:
        yield from leaves(record.data)
        at_s = self._m.at_s(record.t_ns)
        yield from (float(record.seq), at_s)
        wall = self._m.wall(at_s)
        if wall is not None:
            yield wall.strftime("%H:%M:%S")
        yield record.event.kind

    def _of_sample(self, at_s: float) -> list[Leaf] | None:
        """The figures of the evaluations at an instant, and the counters there."""
        found: list[Leaf] = []
        for at in np.flatnonzero(np.abs(self._evaluated_at_s - at_s) <= _ALIKE_S).tolist():
            each = self._m.evaluations[at]
            found += leaves([dict(each.figures), sorted(_names(each))])
            found.append(at_s)
        curves = self._m.curves
        nearest = self._nearest(at_s)
        if nearest is not None:
            found.append(at_s)
            found += [float(each[nearest]) for each in curves.answers.values()]
            found.append(float(curves.drops[nearest]))
            found += [self._failed(nearest)]
            for edge in (0.2, 1.0):
                slower = curves.slower_than(edge)
                found += [] if slower is None else [float(slower), edge]
            worst = float(self._p95[nearest]) if len(self._p95) else np.nan
            found += [worst] if np.isfinite(worst) else []
        if not found:
            return None
        wall = self._m.wall(at_s)
        return [*found, *([] if wall is None else [wall.strftime("%H:%M:%S")])]

    @cached_property
    def _evaluated_at_s(self) -> Curve:
        return np.array([self._m.at_s(each.t_ns) for each in self._m.evaluations])

    def _nearest(self, at_s: float) -> int | None:
        """The index of the sample at an instant."""
        t_s = self._m.curves.t_s
        at = int(np.argmin(np.abs(t_s - at_s))) if len(t_s) else None
        return at if at is not None and abs(float(t_s[at]) - at_s) <= _ALIKE_S else None

    @cached_property
    def _p95(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        return self._m.curves.percentile(0.95)

    def _totals(self, at: int) -> list[float]:
        """Counts up to an instant: of failures, of each answer, of those slower than each bound."""
        curves = self._m.curves
        every = curves.buckets.get(np.inf)
        slower = [] if every is None else [every - each for each in curves.buckets.values()]
        counters = [*curves.answers.values(), curves.drops, *slower]
        return [self._failed(at), *(float(each[at]) for each in counters)]

    def _failed(self, at: int) -> float:
        """Failures up to an instant; those of a window are the difference of two."""
        return float(self._failures[at])

    @cached_property
    def _failures(self) -> Curve:
        return self._m.curves.failed(failed_of(self._m.effective))

    def _of_result(self, path: str) -> list[Leaf] | None:
        place = self._result
        top, _, rest = path.partition(".")
        if path.startswith("checks.") and isinstance(place, dict):
            lines = place.get("checks") or ()
            found = next((each for each in lines if each.get("name") == rest), None)
            return None if found is None else [*leaves(found), *self._of_certificate(rest)]
        if top == "metrics" or path.startswith("metrics."):
            path = f"traffic.{path}"
        place = _walk(place, path)
        if place is _NOWHERE:
            return None
        return [*leaves(place)]

    def _of_certificate(self, name: str) -> Iterator[Leaf]:
        """The certificate of a check, which stands in a file of its own."""
        yield from leaves(self._json(f"certificate-{name}.json"))
        for wrong in self._m.wrongs:
            if wrong.check == name:  # "… and 15 more"
                yield float(max(len(wrong.people), wrong.count or 0) - NAMED)

    def _dates(self, texts: Sequence[Any]) -> Iterator[Leaf]:
        """The parts of a date, which languages write in an order of their own."""
        for text in texts:
            with suppress(ValueError):
                at = datetime.fromisoformat(text) if isinstance(text, str) else None
                if at is not None:
                    yield from map(float, (at.year, at.month, at.day))
                    yield at.strftime("%H:%M")

    @cached_property
    def of_drill(self) -> tuple[list[float], list[str]]:
        """The score, which the course of a drill and its baselines give."""
        return split([] if self._m.drill is None else leaves(_plain(self._m.drill.score)))

    def of_score(self, references: Sequence[str]) -> list[float]:
        """The parts of the score that have just these references."""
        parts = () if self._m.drill is None else self._m.drill.score.parts
        found = [_plain(each) for each in parts if references and set(each.refs) == {*references}]
        return split(leaves(found))[0]

    def _roles(self) -> list[str]:
        return [] if self._m.drill is None else list(self._m.drill.roles.values())


def _plain(value: Any) -> Any:
    """Dataclasses as JSON."""
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    return [*map(_plain, value)] if isinstance(value, list | tuple) else value


def _ends(t_s: Curve, values: Curve) -> list[float]:
    """The lowest and the highest value, and the instant of the highest."""
    seen = np.isfinite(values)
    if not seen.any():
        return []
    at = int(np.nanargmax(np.where(seen, values, -np.inf)))
    return [float(np.nanmin(values[seen])), float(values[at]), float(t_s[at])]


_NOWHERE: Final = object()
_INDEX: Final = re.compile(r"\[(\d+)\]\.?")


def _walk(place: Any, path: str) -> Any:
    """Value at a dotted path, whose keys may hold dots and brackets themselves."""
    if not path:
        return place
    if isinstance(place, list):
        found = _INDEX.match(path)
        if found is None or int(found[1]) >= len(place):
            return _NOWHERE
        return _walk(place[int(found[1])], path[found.end() :])
    if not isinstance(place, dict):
        return _NOWHERE
    for key in sorted(place, key=len, reverse=True):
        if path == key or path.startswith((f"{key}.", f"{key}[")):
            found_value = _walk(place[key], path[len(key) :].removeprefix("."))
            if found_value is not _NOWHERE:
                return found_value
    return _NOWHERE


def _names(evaluation: Any) -> Iterator[str]:
    yield from (str(each.labels.get("alertname", "")) for each in evaluation.alerts)
    yield from map(_objective, evaluation.readings)


def _objective(reading: str) -> str:
    return reading.removeprefix("objective:")


class Support:
    """Values that one block may have: those of its references, and those of all blocks."""

    def __init__(self, block: DraftBlock, sources: Sources) -> None:
        self._sources = sources
        cells = block.text.split(" | ")
        named = [*block.codes, *(each for each in cells[1:] if sources.is_check(each))]
        own = [each for each in dict.fromkeys(named) if sources.is_reference(each)]
        above = [each for each in dict.fromkeys(block.above) if sources.is_reference(each)]
        self.references = (own or above)[:_MOST_REFERENCES]
        self._dead = {each for each in self.references if sources.of(each) is None}
        numbers, texts = sources.of_file(block.text)
        for known in filter(None, map(sources.of, self.references)):
            numbers = [*numbers, *known[0]]
            texts = [*texts, *known[1]]
        self._numbers = [
            *numbers,
            *sources.growth(self.references),
            *sources.of_score(self.references),
            *sources.surplus(self.references),
        ]
        self._texts = texts
        self._delays = [*sources.delays(self.references), *sources.of_drill[0]]
        self._row = block.row

    def is_dead(self, word: str) -> bool:
        """True if the word is of a reference that leads nowhere."""
        return any(word in each for each in self._dead)

    def has(self, number: ShownNumber) -> bool:
        """True if one of the sources has the number, or the name."""
        values = self._sources.general[0]
        if number.value is None:
            known = (*self._texts, *self.references)
            return number.word in self._sources.words or any(number.word in each for each in known)
        own = [*self._numbers, *(self._delays if number.unit in TIME_UNITS else ())]
        # A number inside of a reference, `alerts[0]`, is that of the reference.
        own += [
            n.value for each in self.references for n in numbers_in(each) if n.value is not None
        ]
        if number.at == 0 and self._row > 0 and number.value in {self._row, self._row - 1}:
            return True  # the first cell of a row numbers it
        if not self.references:
            own += [*values, *self._sources.charted]
        return number.is_among(own)
