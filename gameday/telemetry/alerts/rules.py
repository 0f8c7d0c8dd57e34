"""Rule files, as Prometheus reads them: groups of alerting and recording rules.

Everything is checked on loading: keys, durations, label names and every expression. An error
names file, line, column, group, rule and the sub-expression. Of several documents Prometheus
reads the first; a file of Kubernetes objects is read, too: the groups of each `PrometheusRule`.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from gameday.core.clock import NS
from gameday.core.errors import FileError, Place
from gameday.spec.inputs import FileWarning
from gameday.spec.yaml import MappingEntry, Node, load_documents, one_of_them, shown_path
from gameday.telemetry.alerts import templates
from gameday.telemetry.promql import (
    MOST_INSTANTS_TOGETHER,
    MOST_TOGETHER,
    PromqlError,
    Query,
    parse,
)

ALERTS, ALERTS_FOR_STATE = "ALERTS", "ALERTS_FOR_STATE"
_GROUP = ("name", "interval", "query_offset", "limit", "labels", "rules")
_OPERATOR_GROUP = (*_GROUP, "partial_response_strategy")  # Thanos reads that one
_KUBERNETES = ("apiVersion", "kind", "metadata", "spec", "status")
_RULE = ("alert", "expr", "for", "keep_firing_for", "labels", "annotations", "record")
_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_UNITS_MS |= {"w": 7 * _UNITS_MS["d"], "y": 365 * _UNITS_MS["d"]}
_DURATION = re.compile(
    "".join(rf"(?:(\d{{1,9}}){unit})?" for unit in ("y", "w", "d", "h", "m", "s", "ms")), re.ASCII
)
_NAME = re.compile(r"[a-zA-Z_]\w*", re.ASCII)
_METRIC = re.compile(r"[a-zA-Z_:][\w:]*", re.ASCII)
_MOST_RULES = 1000  # all are evaluated once a second; bounds that second


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """One alert: it is pending while `query` has a result, and fires when that lasts `for_ns`."""

    alert: str
    query: Query
    for_ns: int
    keep_firing_ns: int
    labels: tuple[tuple[str, str], ...]
    annotations: tuple[tuple[str, str], ...]
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRule:
    """The result of `query`, kept as the series `record` with these labels."""

    record: str
    query: Query
    labels: tuple[tuple[str, str], ...]
    place: Place


Rule = AlertRule | RecordingRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rules evaluated one after the other, every `interval_ns` (None: whenever asked).

    They are evaluated as of `offset_ns` before that instant.
    """

    name: str
    interval_ns: int | None
    limit: int
    rules: tuple[Rule, ...]
    offset_ns: int = 0


@dataclass(frozen=True, slots=True)
class RuleFile:
    """A rule file; `warnings` says what of it is not read or shown as Prometheus would."""

    path: Path
    groups: tuple[Group, ...]
    warnings: tuple[FileWarning, ...] = ()

    @property
    def alerts(self) -> tuple[AlertRule, ...]:
        """The alerting rules of all groups."""
        every = (rule for group in self.groups for rule in group.rules)
        return tuple(rule for rule in every if isinstance(rule, AlertRule))

    @property
    def queries(self) -> tuple[Query, ...]:
        """The expressions of all rules."""
        return tuple(rule.query for group in self.groups for rule in group.rules)

    @property
    def window_s(self) -> float:
        """Seconds that the rule that looks back longest needs samples of."""
        asked_s = (
            rule.query.window_s + group.offset_ns / NS
            for group in self.groups
            for rule in group.rules
        )
        return max(asked_s, default=0.0)


def load_rules(path: Path) -> RuleFile:
    """Read a rule file. Raises FileError."""
    parts, warnings = _lists_of_groups(load_documents(path))
    _refuse_too_much(parts)
    groups = [group for part in parts for group in _groups(part)]
    _refuse_too_many_instants(groups)
    rules = [rule for group in groups for rule in group.rules]
    if not rules:
        warnings.append(FileWarning(Place(shown_path(path), 1, 1), "holds no rules"))
    warnings += [w for rule in rules if isinstance(rule, AlertRule) for w in _odd(rule)]
    return RuleFile(path, tuple(groups), tuple(warnings))


def recorded_names(files: Iterable[RuleFile]) -> frozenset[str]:
    """The names of all series that the rules of the files record."""
    rules = (rule for file in files for group in file.groups for rule in group.rules)
    return frozenset(rule.record for rule in rules if isinstance(rule, RecordingRule))


def metrics_behind(names: Iterable[str], files: Sequence[RuleFile]) -> frozenset[str]:
    """The metrics that somebody must tell, so that there can be series of these names.

    Recorded ones are made of what their rules read, and those of alerts by nobody else.
    """
    read: dict[str, set[str]] = {}
    for rule in (rule for file in files for group in file.groups for rule in group.rules):
        if isinstance(rule, RecordingRule):
            read.setdefault(rule.record, set()).update(rule.query.metric_names())
    left, passed = set(names), {ALERTS, ALERTS_FOR_STATE}
    while wanted := left - passed:
        passed |= wanted
        left |= {name for each in wanted for name in read.get(each, ())}
    return frozenset(left - read.keys() - {ALERTS, ALERTS_FOR_STATE})


def _lists_of_groups(documents: Sequence[Node]) -> "tuple[list[_Part], list[FileWarning]]":
    """Every list of groups that counts, and what is said of the documents that do not."""
    kinds = [_kind(document) for document in documents]
    if "PrometheusRule" not in kinds:
        first = [_Part(document).fields(("groups",)) for document in documents[:1]]
        ignored = "begins a document that is not read: Prometheus reads the first of a file"
        rest = [each for each in documents[1:] if each.content is not None]
        said = [FileWarning(each.place, ignored) for each in rest]
        return [fields["groups"] for fields in first if "groups" in fields], said
    found, said = [], []
    for document, kind in zip(documents, kinds, strict=True):
        if kind == "PrometheusRule":
            fields = _Part(document, "PrometheusRule").fields(_KUBERNETES)
            spec = fields["spec"].fields(("groups",)) if "spec" in fields else {}
            found += [spec["groups"]] if "groups" in spec else []
        elif document.content is not None:
            text = "begins a document that is no PrometheusRule: not read"
            said.append(FileWarning(document.place, text))
    return found, said


def _kind(document: Node) -> str:
    """The kind of a Kubernetes object, "" of anything else."""
    kind = document.child("kind")
    return kind[1].written if kind is not None else ""


def _groups(part: "_Part") -> list[Group]:
    groups: dict[str, Group] = {}
    for each in part.items():
        group = _group(each, _OPERATOR_GROUP if part.what else _GROUP)
        if group.name in groups:
            each.fail(f"the group {group.name!r} appears twice")
        groups[group.name] = group
    return list(groups.values())


def _refuse_too_much(lists: "Sequence[_Part]") -> None:
    """Raise FileError for more expressions than can be read in a second."""
    texts = [
        entry.node.written
        for part in lists
        for _, _, node in part.node.walk()
        if isinstance(node.content, dict)
        for key, entry in node.content.items()
        if key == "expr"
    ]
    if len(texts) > _MOST_RULES:
        lists[0].fail(f"{len(texts)} rules are more than {_MOST_RULES}")
    if sum(map(len, texts)) > MOST_TOGETHER:
        lists[0].fail(f"the expressions have more than {MOST_TOGETHER} characters together")


def _refuse_too_many_instants(groups: Sequence[Group]) -> None:
    """Raise FileError for subqueries that cannot all be evaluated once a second."""
    so_far = 0
    for group in groups:
        for rule in group.rules:
            so_far += rule.query.instants
            if so_far > MOST_INSTANTS_TOGETHER:
                problem = f"subqueries up to here come to {so_far} instants, more than"
                help = "a longer step after the colon, such as [1h:1m]"
                text = f"group {group.name!r}: {problem} {MOST_INSTANTS_TOGETHER}"
                raise FileError(rule.place, text, help=help)


def parse_prometheus_duration(text: str) -> int:
    """`1m30s`, `1d`, `0` → nanoseconds. Raises ValueError, which says what to write instead."""
    match = _DURATION.fullmatch(text)
    if text == "0":
        return 0
    if not text or match is None:
        raise ValueError(f"{text!r} is not a duration: write it as 30s, 1m30s, 2h or 1d")
    sizes = [_UNITS_MS[unit] for unit in ("y", "w", "d", "h", "m", "s", "ms")]
    return sum(int(n or 0) * size for n, size in zip(match.groups(), sizes, strict=True)) * (
        NS // 1000
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """A value of the file, and in words what it belongs to; errors begin with both."""

    node: Node
    what: str = ""

    def about(self, what: str) -> "_Part":
        """The same value, described otherwise."""
        return replace(self, what=what)

    def fail(self, problem: str, *, help: str = "", place: Place | None = None) -> NoReturn:
        """Raise a FileError about this value, or about a key in it that stands at `place`."""
        said = f"{self.what}: {problem}" if self.what else problem
        raise FileError(place or self.node.place, said, help=help)

    def fields(
        self, known: Collection[str], *, required: Collection[str] = ()
    ) -> "dict[str, _Part]":
        """The members of a mapping that has no other keys than these."""
        found = self.entries()
        for key, entry in found.items():
            if key not in known:
                help = one_of_them(key, known)
                self.fail(f"unknown key {key!r}", help=help, place=entry.place)
        for key in required:
            if key not in found:
                self.fail(f"{key!r} is missing")
        return {key: _Part(entry.node, self.what) for key, entry in found.items()}

    def entries(self) -> dict[str, MappingEntry]:
        """The members of a mapping, whatever their keys; null is an empty one."""
        if self.node.content is None:
            return {}
        if not isinstance(self.node.content, dict):
            self.fail(f"a mapping is needed here, not {self._content_text()}")
        return self.node.content

    def items(self) -> "list[_Part]":
        """The items of a list; null is an empty one."""
        if self.node.content is None:
            return []
        if not isinstance(self.node.content, list):
            self.fail(f"a list is needed here, not {self._content_text()}")
        return [_Part(node, self.what) for node in self.node.content]

    def text(self) -> str:
        """A scalar as it is written: a label may be 1.10 without quotes; null is no text."""
        if self.node.content is None:
            return ""
        if isinstance(self.node.content, dict | list):
            self.fail(f"a text is needed here, not {self._content_text()}")
        return self.node.written

    def _content_text(self) -> str:
        if isinstance(self.node.content, dict):
            return "a mapping"
        return "a list" if isinstance(self.node.content, list) else repr(self.node.written)


def _group(part: _Part, known: Collection[str]) -> Group:
    fields = part.fields(known, required=("name",))
    name = fields["name"].text()
    if not name:
        fields["name"].fail("a group needs a name")
    what = f"group {name!r}"
    described = {key: found.about(what) for key, found in fields.items()}
    shared = _texts(described["labels"], "label") if "labels" in fields else {}
    items = fields["rules"].items() if "rules" in fields else []
    rules = tuple(_rule(item.about(what), what, shared) for item in items)
    return Group(
        name=name,
        interval_ns=_optional_duration(described, "interval") or None,
        limit=_limit(described["limit"]) if "limit" in fields else 0,
        rules=rules,
        offset_ns=_optional_duration(described, "query_offset"),
    )


def _rule(part: _Part, group: str, shared: dict[str, str]) -> Rule:
    fields = part.fields(_RULE)
    texts = {key: fields[key].text() for key in ("alert", "record", "expr") if key in fields}
    named = [key for key in ("alert", "record") if texts.get(key)]
    if not named:
        part.fail("a rule without 'alert' or 'record'")
    if len(named) > 1:
        fields["record"].fail("a rule is either an 'alert' or a 'record'")
    if not texts.get("expr"):
        part.fail("a rule without 'expr'")
    if named == ["record"]:
        what = f"{group}, recording rule {texts['record']!r}"
        return _recording({key: f.about(what) for key, f in fields.items()}, part.node, shared)
    what = f"{group}, alert {texts['alert']!r}"
    return _alert({key: f.about(what) for key, f in fields.items()}, part.node, shared)


def _recording(fields: dict[str, _Part], node: Node, shared: dict[str, str]) -> RecordingRule:
    record = fields["record"].text()
    if not _METRIC.fullmatch(record):
        fields["record"].fail(f"{record!r} is not a name for a metric")
    for key in ("for", "keep_firing_for", "annotations"):
        if key in fields and fields[key].node.content is not None:
            fields[key].fail(f"{key!r} is for alerts only")
    labels = _texts(fields["labels"], "series label") if "labels" in fields else {}
    return RecordingRule(
        record=record,
        query=_expression(fields["expr"]),
        labels=tuple(sorted({**shared, **labels}.items())),
        place=node.place,
    )


def _alert(fields: dict[str, _Part], node: Node, shared: dict[str, str]) -> AlertRule:
    labels = _texts(fields["labels"], "label") if "labels" in fields else {}
    notes = _texts(fields["annotations"], "annotation") if "annotations" in fields else {}
    return AlertRule(
        alert=fields["alert"].text(),
        query=_expression(fields["expr"]),
        for_ns=_optional_duration(fields, "for"),
        keep_firing_ns=_optional_duration(fields, "keep_firing_for"),
        labels=tuple(sorted({**shared, **labels}.items())),
        annotations=tuple(notes.items()),
        place=node.place,
    )


def _expression(part: _Part) -> Query:
    try:
        return parse(part.text())
    except PromqlError as error:
        part.fail(f"in {error.fragment!r}: {error.problem}", help=error.help)


def _optional_duration(fields: dict[str, _Part], key: str) -> int:
    given = fields.get(key)
    return 0 if given is None or given.node.content is None else _duration(given)


def _duration(part: _Part) -> int:
    try:
        return parse_prometheus_duration(part.text())
    except ValueError as error:
        part.fail(str(error))


def _limit(part: _Part) -> int:
    text = part.text().replace("_", "")  # 1_000 is a number in YAML as Prometheus reads it
    if not re.fullmatch("[0-9]{1,9}", text or "0"):
        part.fail(f"the limit {text!r} is not a whole number")
    return int(text or "0")


def _texts(part: _Part, kind: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, entry in part.entries().items():
        # Prometheus 3 takes any text; Alertmanager, which alerts go to, need not.
        is_name = bool(key) if kind == "series label" else _NAME.fullmatch(key)
        if not is_name or key == "__name__":
            part.fail(f"{key!r} is not a name for a {kind}", place=entry.place)
        if kind == "label" and key == "alertname":
            part.fail("the label 'alertname' is the alert's own", place=entry.place)
        found[key] = _Part(entry.node, part.what).text()
    return found


def _odd(rule: AlertRule) -> list[FileWarning]:
    what = f"alert {rule.alert!r}"
    return [
        FileWarning(rule.place, f"{what}: the template {template} is shown as it is written")
        for _, text in (*rule.labels, *rule.annotations)
        for template in templates.unknown(text)
    ]
