"""Prometheus' own test scripts for PromQL, read and run against our evaluator.

A script loads series, and evaluates expressions with the values that must come out. The scripts
are Apache-2.0 and stay where Go's module cache keeps them; this file only reads the language, which
the README beside them describes. Left out is what gameday does not claim: native histograms, and
what Prometheus has behind a feature flag. Everything else is right, refused by name, or wrong.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gameday.core.clock import NS
from gameday.telemetry.promql import (
    EvaluationError,
    InstantEvaluator,
    Labels,
    PromqlError,
    PromqlSemantics,
    Query,
    SeriesStore,
    Value,
    label_set,
    parse,
)
from gameday.telemetry.promql.labels import NAME, value_of
from gameday.telemetry.promql.nodes import may_read
from gameday.telemetry.promql.store import STALE

Sort = Literal["right", "refused", "wrong", "native", "flag"]
Points = list[float | None]
SEMANTICS = PromqlSemantics(evaluation_s=60)
EPSILON = 1e-6
FLAGGED_FILES = frozenset(
    {"duration_expression", "extended_vectors", "fill-modifier", "info", "limit"}
    | {"name_label_dropping", "start_timestamps", "type_and_unit"}
)
LEFT_OUT = FLAGGED_FILES | {"native_histograms"}
_FLAGGED = re.compile(
    r"\b(?:double_exponential_smoothing|info|mad_over_time|sort_by_label(?:_desc)?"
    r"|(?:ts_of_)?(?:first|last|min|max)_over_time|histogram_quantiles|m(?:ax|in)_of|start|end"
    r"|range|step|limitk|limit_ratio)\s*(?:by|without)?\s*\("
)
_STABLE = re.compile(r"\b(?:(?:last|min|max)_over_time\s*\(|@\s*(?:start|end)\s*\(\s*\))")
_LENGTH = re.compile(r"(\d+)(ms|[smhdwy])")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_SERIES = re.compile(
    r"""([^\s{]*)\s*(?:\{(?!\{)((?:[^}"'`]|"(?:\\.|[^"\\])*"|'[^']*'|`[^`]*`)*)\})?"""
)
_LABEL = re.compile(r"""\s*,?\s*(?:([\w.:]+|"[^"]*")\s*=\s*)?("(?:\\.|[^"\\])*"|'[^']*'|`[^`]*`)""")
_POINT = re.compile(
    r"([-+]?(?:[\d.]+(?:e[-+]?\d+)?|inf|nan))([-+][\d.e]+)?(?:x(\d+))?", re.IGNORECASE
)


@dataclass
class Evaluation:
    """One `eval` of a script: what is asked, and what must come out of it."""

    file: str
    line: int
    expr: str
    start_ns: int
    end_ns: int = 0
    step_ns: int = 0
    series: list[tuple[Labels, Points]] = field(default_factory=list)
    scalar: float | None = None
    string: bool = False
    ranged: bool = False
    fails: bool = False
    ordered: bool = False
    native: bool = False


@dataclass
class Outcome:
    """One evaluation and how it ended."""

    asked: Evaluation
    sort: Sort
    why: str = ""

    def __str__(self) -> str:
        return f"{self.asked.file}:{self.asked.line} {self.sort}: {self.asked.expr}\n    {self.why}"


def run(folder: Path) -> list[Outcome]:
    """All scripts of a folder."""
    return [each for path in sorted(folder.glob("*.test")) for each in run_script(path)]


def count(outcomes: list[Outcome]) -> Counter[str]:
    return Counter(each.sort for each in outcomes)


def run_script(path: Path) -> Iterator[Outcome]:
    """One script, command by command."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    lines = ["" if line.startswith("#") else line for line in lines]
    data: dict[Labels, list[tuple[int, float]]] = {}
    native: set[str] = set()
    store: SeriesStore | None = None
    at = 0
    while at < len(lines):
        line, number = lines[at], at + 1
        at += 1
        block = []
        while line and at < len(lines) and lines[at]:
            block.append(lines[at])
            at += 1
        if line == "clear":
            data, native, store = {}, set(), None
            at -= len(block)
        elif line.startswith("load"):
            if path.stem in LEFT_OUT:
                continue
            _load(line, block, data, native)
            store = None
        elif line.startswith("eval"):
            asked, used = _evaluation(path.stem, number, line, block)
            at -= len(block) - used
            store = store or _store(data)
            yield _outcome(asked, store, native)


def _load(
    line: str, block: list[str], data: dict[Labels, list[tuple[int, float]]], native: set[str]
) -> None:
    words = line.split()
    step_ns = _ns(words[1])
    loaded: dict[Labels, list[tuple[int, float]]] = {}
    for each in block:
        labels, rest = _series(each)
        if "{{" in rest:
            native.add(value_of(labels, NAME))
            continue
        if words[0] == "load_with_nhcb":
            native.add(re.sub("_(bucket|count|sum)$", "", value_of(labels, NAME)))
        points = enumerate(_points(rest))
        loaded[labels] = [(n * step_ns, point) for n, point in points if point is not None]
    for labels, samples in loaded.items():
        data.setdefault(labels, []).extend(samples)


def _store(data: dict[Labels, list[tuple[int, float]]]) -> SeriesStore:
    store = SeriesStore(retention_s=1e9)
    for labels, samples in data.items():
        for t_ns, value in sorted(samples, key=lambda sample: sample[0]):
            store.append(t_ns, [(labels, value)])
    return store


def _ns(text: str) -> int:
    if re.fullmatch(r"[\d.]+", text):
        return round(float(text) * NS)
    return round(sum(int(n) * _SECONDS[unit] * 1000 for n, unit in _LENGTH.findall(text))) * 10**6


def _unquoted(text: str) -> str:
    inside = text[1:-1]
    if text[0] == "`" or "\\" not in inside:
        return inside
    return inside.encode("latin-1", "backslashreplace").decode("unicode_escape")


def _series(line: str) -> tuple[Labels, str]:
    """The labels that a line begins with, and the rest of it."""
    head = _SERIES.match(line)
    assert head is not None, line
    pairs = {NAME: head[1]}
    for name, value in _LABEL.findall(head[2] or ""):
        pairs[name.strip('"') or NAME] = _unquoted(value)
    return label_set(pairs), line[head.end() :].strip()


def _points(text: str) -> Points:
    found: Points = []
    for word in text.split():
        if re.fullmatch(r"_(x\d+)?", word):
            found += [None] * int(word[2:] or 1)
        elif re.fullmatch(r"stale(x\d+)?", word):
            found += [STALE] * (int(word[6:]) + 1 if word[5:] else 1)
        else:
            parts = _POINT.fullmatch(word)
            assert parts is not None, word
            first, step = _number(parts[1]), _number(parts[2] or "0")
            found += [first + step * n for n in range(int(parts[3] or 0) + 1)]
    return found


def _number(text: str) -> float:
    return (
        float(int(text, 0))
        if re.fullmatch("[-+]?0x[0-9a-f]+", text, re.IGNORECASE)
        else float(text)
    )


def _evaluation(file: str, number: int, line: str, block: list[str]) -> tuple[Evaluation, int]:
    """The evaluation, and how many lines of the block belong to it."""
    ranged = re.fullmatch(r"eval(?:_(\w+))? range from (\S+) to (\S+) step (\S+)\s+(.+)", line)
    instant = re.fullmatch(r"eval(?:_(\w+))?\s+instant\s+(?:at\s+(.+?))?\s+(.+)", line)
    if ranged is not None:
        start, end, step = (_ns(each) for each in ranged.group(2, 3, 4))
        asked = Evaluation(file, number, ranged[5], start, end, step)
        mode = ranged[1]
    else:
        assert instant is not None, line
        at_ns = _ns(instant[2])
        asked, mode = Evaluation(file, number, instant[3], at_ns, at_ns, NS), instant[1]
    asked.fails, asked.ordered = mode == "fail", mode == "ordered"
    for used, each in enumerate(block):
        if each.startswith("eval"):
            return asked, used
        _expect(asked, each)
    return asked, len(block)


def _expect(asked: Evaluation, line: str) -> None:
    if line.startswith("expect "):
        kind = line.split()[1]
        asked.fails |= kind == "fail"
        asked.ordered |= kind == "ordered"
        asked.string |= kind == "string"
        asked.ranged |= line.startswith("expect range vector")
    elif line.startswith("expected_fail"):
        pass
    elif re.fullmatch(r"[-+]?(?:[\d.]+(?:e[-+]?\d+)?|0x[0-9a-f]+|inf|nan)", line, re.IGNORECASE):
        asked.scalar = _number(line)
    else:
        labels, rest = _series(line)
        asked.native |= "{{" in rest
        if asked.file not in LEFT_OUT:
            asked.series.append((labels, [] if "{{" in rest else _points(rest)))


def _outcome(asked: Evaluation, store: SeriesStore, native: set[str]) -> Outcome:
    if asked.file in FLAGGED_FILES or _FLAGGED.search(_STABLE.sub("", asked.expr)):
        return Outcome(asked, "flag")
    if asked.file == "native_histograms" or asked.native:
        return Outcome(asked, "native")
    try:
        query = parse(asked.expr)
    except PromqlError as error:
        words = set(re.findall(r"[\w:]+", asked.expr))
        sort: Sort = "native" if words & native else "right" if asked.fails else "refused"
        return Outcome(asked, sort, str(error))
    if _reads(query, native):
        return Outcome(asked, "native")
    problem = _problem(asked, query, store)
    return Outcome(asked, "wrong" if problem else "right", problem)


def _problem(asked: Evaluation, query: Query, store: SeriesStore) -> str:
    """In what way our answer is not the expected one."""
    try:
        found = _evaluated(asked, query, store)
    except EvaluationError as error:
        return "" if asked.fails else f"ours is an error: {error}"
    return f"must be an error, ours is {found}" if asked.fails else _difference(asked, found)


def _reads(query: Query, native: set[str]) -> bool:
    return any(may_read(query.node, name) for name in native)


def _evaluated(asked: Evaluation, query: Query, store: SeriesStore) -> list[tuple[int, Value]]:
    times = range(asked.start_ns, asked.end_ns + 1, asked.step_ns)
    span = (asked.start_ns, asked.end_ns)
    return [
        (t_ns, InstantEvaluator(store, t_ns, SEMANTICS, span=span).value(query.node))
        for t_ns in times
    ]


def _difference(asked: Evaluation, found: list[tuple[int, Value]]) -> str:
    if asked.scalar is not None:
        value = found[0][1]
        is_right = not isinstance(value, dict) and same(value, asked.scalar)
        return "" if is_right else f"expected {asked.scalar}, got {value}"
    ours: dict[Labels, dict[int, float]] = {}
    for t_ns, value in found:
        for labels, v in (value if isinstance(value, dict) else {(): value}).items():
            ours.setdefault(labels, {})[t_ns] = v
    theirs = {
        labels: {
            asked.start_ns + n * asked.step_ns: v for n, v in enumerate(points) if v is not None
        }
        for labels, points in asked.series
    }
    if ours.keys() != theirs.keys():
        return f"expected {theirs}, got {ours}"
    if asked.ordered and list(ours) != list(theirs):
        return f"expected the order {list(theirs)}, got {list(ours)}"
    for labels, expected in theirs.items():
        got = ours[labels]
        if got.keys() != expected.keys() or not all(same(got[t], v) for t, v in expected.items()):
            return f"expected {expected} for {labels}, got {got}"
    return ""


def same(a: float, b: float) -> bool:
    """True for numbers that Prometheus' own comparison takes for equal."""
    if a == b or (math.isnan(a) and math.isnan(b)):
        return True
    total, difference = abs(a) + abs(b), abs(a - b)
    if 0 in (a, b) or total < 2.2250738585072014e-308:
        return difference < EPSILON * 2.2250738585072014e-308
    return difference / min(total, 1.7976931348623157e308) < EPSILON
