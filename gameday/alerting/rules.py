"""Rule files, as Prometheus reads them: groups of alert rules.

Everything is checked on loading: keys, durations, label names and every expression. An error
names file, line, column, group, rule and the sub-expression. Recording rules are refused: here
an expression is written where it is used.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from gameday.alerting import templates
from gameday.alerting.tree import Tree, read_tree
from gameday.clock import NS
from gameday.errors import Place
from gameday.promql import PromqlError, Query, parse

_GROUP = ("name", "interval", "limit", "labels", "rules")
_RULE = ("alert", "expr", "for", "keep_firing_for", "labels", "annotations", "record")
_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_UNITS_MS |= {"w": 7 * _UNITS_MS["d"], "y": 365 * _UNITS_MS["d"]}
_DURATION = re.compile(
    r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?"
)
_NAME = re.compile(r"[a-zA-Z_]\w*", re.ASCII)
_MOST_RULES = 1000


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
    """Read a rule file. Raises FileError; UsageError where the file cannot be read."""
    root = read_tree(path).fields(("groups",), required=("groups",))
    groups: dict[str, Group] = {}
    for tree in root["groups"].items():
        group = _group(tree)
        if group.name in groups:
            tree.fail(f"the group {group.name!r} appears twice")
        groups[group.name] = group
    rules = [rule for group in groups.values() for rule in group.rules]
    if len(rules) > _MOST_RULES:
        root["groups"].fail(f"{len(rules)} rules are more than {_MOST_RULES}")
    return RuleFile(path, tuple(groups.values()), tuple(w for rule in rules for w in _odd(rule)))


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


def _group(tree: Tree) -> Group:
    fields = tree.fields(_GROUP, required=("name",))
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


def _rule(tree: Tree, group: str, shared: dict[str, str]) -> AlertRule:
    tree = tree.about(group)
    fields = tree.fields(_RULE)
    if "record" in fields:
        fields["record"].about(f"{group}, recording rule {fields['record'].text()!r}").fail(
            "recording rules are not supported",
            help="write the recorded expression into the alerts that use it",
        )
    for key in ("alert", "expr"):
        if key not in fields:
            tree.fail(f"a rule without {key!r}")
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
        place=tree.place,
    )


def _expression(tree: Tree) -> Query:
    try:
        return parse(tree.text())
    except PromqlError as error:
        tree.fail(f"in {error.fragment!r}: {error.problem}", help=error.help)


def _optional_duration(fields: dict[str, Tree], key: str) -> int:
    return _duration(fields[key]) if key in fields else 0


def _duration(tree: Tree) -> int:
    try:
        return parse_prometheus_duration(tree.text())
    except ValueError as error:
        tree.fail(str(error))


def _limit(tree: Tree) -> int:
    text = tree.text()
    if not text.isascii() or not text.isdigit():
        tree.fail(f"the limit {text!r} is not a whole number")
    return int(text)


def _texts(tree: Tree, kind: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, (key_tree, value) in tree.members().items():
        if not _NAME.fullmatch(key) or key == "__name__":
            key_tree.fail(f"{key!r} is not a name for a {kind}")
        if kind == "label" and key == "alertname":
            key_tree.fail("the label 'alertname' is the alert's own")
        found[key] = value.text()
    return found


def _odd(rule: AlertRule) -> list[str]:
    return [
        f"{rule.place}: alert {rule.alert!r}: the template {template} is shown as it is written"
        for _, text in (*rule.labels, *rule.annotations)
        for template in templates.unknown(text)
    ]
