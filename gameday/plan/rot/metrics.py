"""Metrics that are gone: in the probes of steps, in the charts of a playbook, and in its words.

With a catalogue every name and label is looked for in it. Without one nobody knows them all, and
only a name that is nearly one of those that rules and the system file use is taken for that one.
"""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Final

from gameday.core.errors import one_of_them
from gameday.plan.rot.passages import Pages, Passage
from gameday.plan.rot.surroundings import Labels, Surroundings
from gameday.spec.inputs import FileWarning, Findings, LoadedPlaybook
from gameday.telemetry.promql import PromqlError, Query, parse
from gameday.telemetry.promql.nodes import Aggregation, Node, Selector, children, selectors
from gameday.traffic.thresholds import METRICS as THRESHOLD_METRICS

_NEAR: Final = 0.8
_NEAR_A_METRIC: Final = 0.72  # of a name that stands alone in words, and may be anything
_SERIES: Final = re.compile(r"\s*([a-zA-Z_:][\w:]*)\s*(\{.*\})?\s*", re.ASCII)
_WORD: Final = re.compile(r"(?<![\w./:-])([a-z][a-z0-9]*(?:_[a-z0-9]+)+)(?![\w(=/])", re.ASCII)
_ANY_LABEL: Final = frozenset({"instance", "job", "le", "quantile", "alertname", "severity"})
_LISTED: Final = 2  # values in the catalogue from which on they are a list of all
_MOST_NAMES: Final = 100  # different ones that are no metrics: each is compared with all there are
_PROMQL: Final = ("promql", "prom", "prometheus")
_MEASURED: Final = re.compile(
    r"\s*\|?\s*(?:it\s+)?(?:is|are|stays?|falls?|rises?|grows?|drops?|above|below)\b"
)


def of_probes(loaded: LoadedPlaybook, around: Surroundings) -> Findings:
    """The `before` and `after` of each step."""
    for step in loaded.playbook.steps:
        document = loaded.blocks[step.number]
        for key, probe in (("before", step.block.before), ("after", step.block.after)):
            if probe is None:
                continue
            try:
                query = parse(probe)
            except PromqlError:
                continue  # an error already
            for text in _query(query, around):
                yield FileWarning(document.place(key), f"{key!r}: {text}")


def of_pages(pages: Pages, around: Surroundings) -> Findings:
    """The expressions that are shown, and the metrics that are named in code."""
    names = _Names(around)
    for passage in pages.passages:
        if passage.kind == "fence" and passage.info.split(" ")[0].lower() in _PROMQL:
            yield from _chart(passage, around)
        elif passage.kind == "code":
            yield from _named(passage, names)
        elif passage.kind == "fence" and not passage.is_step:
            yield from _words(passage, names)


class _Names:
    """The names of metrics, and which others are nearly one of them, or meant as one."""

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self.known = sorted({*around.metrics, *around.families, *THRESHOLD_METRICS})
        self._prefixes = around.prefixes
        self._near: dict[str, str] = {}

    def problem(self, name: str, *, is_surely: bool = False) -> str:
        """Why a name is no metric, "" where it is one, or nobody says that it is meant as one."""
        if name in self.known:
            return ""
        if name not in self._near:
            if len(self._near) >= _MOST_NAMES:
                return ""
            near = get_close_matches(name, self.known, n=1, cutoff=_NEAR_A_METRIC)
            self._near[name] = near[0] if near else ""
        if self._near[name]:
            return f"no metric {name!r}: did you mean {self._near[name]!r}?"
        is_ours = is_surely or name.partition("_")[0] in self._prefixes
        if self.around.complete and is_ours:
            return f"no metric {name!r}: it is in no catalogue and no rule"
        return ""


def _chart(passage: Passage, around: Surroundings) -> Findings:
    try:
        query = parse(passage.text.strip())
    except PromqlError as error:
        yield FileWarning(passage.place(), f"an expression that is none: {error.message}")
        return
    for text in _query(query, around):
        yield FileWarning(passage.place(_offset(passage.text, text)), text)


def _offset(text: str, problem: str) -> int:
    """Where the first value in quotes of a problem stands in a text, 0 where it does not."""
    quoted = re.search(r"'([^']*)'", problem)
    return max(0, text.find(quoted[1])) if quoted else 0


def _query(query: Query, around: Surroundings) -> Iterator[str]:
    """Everything that is wrong with the names of an expression."""
    unknown = [name for name in sorted(query.metric_names()) if name not in around.metrics]
    for name in unknown:
        if around.complete:
            yield f"no metric {name!r}{_cure(name, around.metrics)}"
        elif near := get_close_matches(name, around.metrics, n=1, cutoff=_NEAR):
            yield f"no metric {name!r} is known: did you mean {near[0]!r}?"
    if not around.complete or unknown:
        return
    known = _ANY_LABEL.union(*(around.metrics[name] for name in query.metric_names()))
    chosen = [m.name for each in selectors(query.node) for m in each.matchers]
    for label in dict.fromkeys([*chosen, *_grouped(query.node)]):
        if label not in known and not label.startswith("__"):
            yield f"no label {label!r}{_cure(label, known - _ANY_LABEL)}"
    for selector in selectors(query.node):
        yield from _values(selector, around.metrics.get(selector.name, {}))


def _values(selector: Selector, labels: Labels) -> Iterator[str]:
    """A value that no series of the catalogue has, of a label that has several there."""
    for matcher in selector.matchers:
        known = labels.get(matcher.name, frozenset())
        is_listed = len(known) >= _LISTED and matcher.name not in _ANY_LABEL
        if matcher.op == "=" and matcher.value and is_listed and matcher.value not in known:
            yield f"no {matcher.name} {matcher.value!r}: {one_of_them(matcher.value, known)}"


def _grouped(node: Node) -> Iterator[str]:
    if isinstance(node, Aggregation):
        yield from sorted(node.names)
    for child in children(node):
        yield from _grouped(child)


def _cure(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, sorted(known), n=1)
    return f": did you mean {near[0]!r}?" if near else ": it is in no catalogue and no rule"


def _named(passage: Passage, names: _Names) -> Findings:
    """A code span that is a metric, or in which one stands among other words."""
    match = _SERIES.fullmatch(passage.text)
    if match is None or (match[2] is None and "_" not in match[1]):
        yield from _words(passage, names)
        return
    name, selector = match[1], match[2]
    metrics = names.around.metrics
    series = next((each for each in (name, *_parts(name)) if each in metrics), None)
    if selector is None or series is None:
        is_measured = _MEASURED.match(passage.behind) is not None
        problem = names.problem(name, is_surely=is_measured or selector is not None)
        if problem:
            yield FileWarning(passage.place(match.start(1)), problem)
        return
    try:
        query = parse(f"{series}{selector}")
    except PromqlError:
        return
    for text in _query(query, names.around):
        yield FileWarning(passage.place(_offset(passage.text, text)), text)


def _parts(name: str) -> Iterator[str]:
    """The series that a histogram or counter of that name has."""
    return (f"{name}_{part}" for part in ("bucket", "sum", "count", "total"))


def _words(passage: Passage, names: _Names) -> Findings:
    for match in _WORD.finditer(passage.text):
        problem = names.problem(match[1])
        if problem:
            yield FileWarning(passage.place(match.start(1)), problem)
