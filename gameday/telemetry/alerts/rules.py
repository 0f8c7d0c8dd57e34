"""Rule files, as Prometheus reads them: groups of alert rules.

Everything is checked on loading: keys, durations, label names and every expression. An error
names file, line, column, group, rule and the sub-expression. Recording rules are refused: here
an expression is written where it is used.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from gameday.core.clock import NS
from gameday.core.errors import FileError, Place
from gameday.spec.yaml import MappingEntry, Node, load, one_of_them
from gameday.telemetry.alerts import templates
from gameday.telemetry.promql import MOST_TOGETHER, PromqlError, Query, parse

_GROUP = ("name", "interval", "limit", "labels", "rules")
_RULE = ("alert", "expr", "for", "keep_firing_for", "labels", "annotations", "record")
_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_UNITS_MS |= {"w": 7 * _UNITS_MS["d"], "y": 365 * _UNITS_MS["d"]}
_DURATION = re.compile(
    "".join(rf"(?:(\d{{1,9}}){unit})?" for unit in ("y", "w", "d", "h", "m", "s", "ms")), re.ASCII
)
_NAME = re.compile(r"[a-zA-Z_]\w*", re.ASCII)
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
class Group:
    """Rules evaluated together, every `interval_ns` (None: as often as the evaluator runs)."""

    name: str
    interval_ns: int | None
    limit: int
    rules: tuple[AlertRule, ...]


@dataclass(frozen=True, slots=True)
class RuleFile:
    """A rule file; `warnings` names the templates that will be shown as they are written."""

    path: Path
    groups: tuple[Group, ...]
    warnings: tuple[str, ...] = ()

    @property
    def rules(self) -> tuple[AlertRule, ...]:
        """The rules of all groups."""
        return tuple(rule for group in self.groups for rule in group.rules)


def load_rules(path: Path) -> RuleFile:
    """Read a rule file. Raises FileError."""
    root = _Part(load(path).root).fields(("groups",), required=("groups",))
    groups: dict[str, Group] = {}
    _refuse_too_much(root["groups"])
    for part in root["groups"].items():
        group = _group(part)
        if group.name in groups:
            part.fail(f"the group {group.name!r} appears twice")
        groups[group.name] = group
    rules = [rule for group in groups.values() for rule in group.rules]
    return RuleFile(path, tuple(groups.values()), tuple(w for rule in rules for w in _odd(rule)))


def _refuse_too_much(groups: "_Part") -> None:
    """Raise FileError for more expressions than can be read in a second."""
    texts = [
        entry.node.written
        for _, _, node in groups.node.walk()
        if isinstance(node.content, dict)
        for key, entry in node.content.items()
        if key == "expr"
    ]
    if len(texts) > _MOST_RULES:
        groups.fail(f"{len(texts)} rules are more than {_MOST_RULES}")
    if sum(map(len, texts)) > MOST_TOGETHER:
        groups.fail(f"the expressions have more than {MOST_TOGETHER} characters together")


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
        """The members of a mapping, whatever their keys."""
        if not isinstance(self.node.content, dict):
            self.fail(f"a mapping is needed here, not {self._content_text()}")
        return self.node.content

    def items(self) -> "list[_Part]":
        """The items of a list."""
        if not isinstance(self.node.content, list):
            self.fail(f"a list is needed here, not {self._content_text()}")
        return [_Part(node, self.what) for node in self.node.content]

    def text(self) -> str:
        """A scalar as it is written: a label may be 1.10 without quotes."""
        if isinstance(self.node.content, dict | list):
            self.fail(f"a text is needed here, not {self._content_text()}")
        return self.node.written

    def _content_text(self) -> str:
        if isinstance(self.node.content, dict):
            return "a mapping"
        return "a list" if isinstance(self.node.content, list) else repr(self.node.written)


def _group(part: _Part) -> Group:
    fields = part.fields(_GROUP, required=("name",))
    name = fields["name"].text()
    what = f"group {name!r}"
    shared = _texts(fields["labels"].about(what), "label") if "labels" in fields else {}
    interval = _duration(fields["interval"].about(what)) if "interval" in fields else None
    if interval == 0:
        fields["interval"].about(what).fail("an interval of 0 never ends")
    items = fields["rules"].about(what).items() if "rules" in fields else []
    rules = tuple(_rule(item, what, shared) for item in items)
    limit = _limit(fields["limit"].about(what)) if "limit" in fields else 0
    return Group(name=name, interval_ns=interval, limit=limit, rules=rules)


def _rule(part: _Part, group: str, shared: dict[str, str]) -> AlertRule:
    part = part.about(group)
    fields = part.fields(_RULE)
    if "record" in fields:
        fields["record"].about(f"{group}, recording rule {fields['record'].text()!r}").fail(
            "recording rules are not supported",
            help="write the recorded expression into the alerts that use it",
        )
    for key in ("alert", "expr"):
        if key not in fields:
            part.fail(f"a rule without {key!r}")
    alert = fields["alert"].text()
    if not alert:
        fields["alert"].about(group).fail("an alert needs a name")
    what = f"{group}, alert {alert!r}"
    described = {key: found.about(what) for key, found in fields.items()}
    labels = _texts(described["labels"], "label") if "labels" in described else {}
    notes = _texts(described["annotations"], "annotation") if "annotations" in described else {}
    return AlertRule(
        alert=alert,
        query=_expression(described["expr"]),
        for_ns=_optional_duration(described, "for"),
        keep_firing_ns=_optional_duration(described, "keep_firing_for"),
        labels=tuple(sorted({**shared, **labels}.items())),
        annotations=tuple(notes.items()),
        place=part.node.place,
    )


def _expression(part: _Part) -> Query:
    try:
        return parse(part.text())
    except PromqlError as error:
        part.fail(f"in {error.fragment!r}: {error.problem}", help=error.help)


def _optional_duration(fields: dict[str, _Part], key: str) -> int:
    return _duration(fields[key]) if key in fields else 0


def _duration(part: _Part) -> int:
    try:
        return parse_prometheus_duration(part.text())
    except ValueError as error:
        part.fail(str(error))


def _limit(part: _Part) -> int:
    text = part.text()
    if not re.fullmatch("[0-9]{1,9}", text):
        part.fail(f"the limit {text!r} is not a whole number")
    return int(text)


def _texts(part: _Part, kind: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, entry in part.entries().items():
        if not _NAME.fullmatch(key) or key == "__name__":
            part.fail(f"{key!r} is not a name for a {kind}", place=entry.place)
        if kind == "label" and key == "alertname":
            part.fail("the label 'alertname' is the alert's own", place=entry.place)
        found[key] = _Part(entry.node, part.what).text()
    return found


def _odd(rule: AlertRule) -> list[str]:
    return [
        f"{rule.place}: alert {rule.alert!r}: the template {template} is shown as it is written"
        for _, text in (*rule.labels, *rule.annotations)
        for template in templates.unknown(text)
    ]
