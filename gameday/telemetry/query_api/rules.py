"""Rules and alerts as `/api/v1/rules` and `/api/v1/alerts` tell them, with the filters of both."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import promql_parser

from gameday.core.clock import NS
from gameday.core.errors import excerpt
from gameday.core.json_objects import plain
from gameday.telemetry.alerts.rules import RecordingRule
from gameday.telemetry.alerts.state import AlertInstance, EvaluatedGroup, EvaluatedRule
from gameday.telemetry.promql import Query
from gameday.telemetry.query_api.database import SampleDatabase
from gameday.telemetry.query_api.encode import ApiAnswer, exponent_text, rfc3339, to_json
from gameday.telemetry.query_api.parameters import QueryApiError, RequestForm

_KINDS: Final = {"": "", "alert": "alerting", "record": "recording"}
_EVERY_S: Final = 1.0  # a group without an interval is evaluated at each instant of a run


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldAlert:
    """An alert that is pending or firing; its value is a text, as in Prometheus."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    state: str
    activeAt: str
    keepFiringSince: str | None = None
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldAlertingRule:
    """An alerting rule: as it stands in its file, and as it is now."""

    state: str
    name: str
    query: str
    duration: float
    keepFiringFor: float
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    alerts: Sequence[ToldAlert]
    health: str
    lastError: str | None = None
    evaluationTime: float
    lastEvaluation: str
    type: str = "alerting"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldRecordingRule:
    """A recording rule."""

    name: str
    query: str
    labels: Mapping[str, str] | None = None
    health: str
    lastError: str | None = None
    evaluationTime: float
    lastEvaluation: str
    type: str = "recording"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldGroup:
    """A group of rules; `file` is its name alone, not its place on this machine."""

    name: str
    file: str
    rules: Sequence[ToldAlertingRule | ToldRecordingRule]
    interval: float
    limit: int
    evaluationTime: float
    lastEvaluation: str


def alerts(database: SampleDatabase) -> ApiAnswer:
    """`/api/v1/alerts`."""
    told = [plain(_alert(each)) for each in database.alerts()]
    return ApiAnswer(to_json({"alerts": told}), _warnings(database))


def rules(database: SampleDatabase, form: RequestForm) -> ApiAnswer:
    """`/api/v1/rules`. Raises QueryApiError."""
    kind = form.text("type").lower()
    if kind not in _KINDS:
        raise QueryApiError(
            "bad_data", f'invalid parameter "type": not supported value "{excerpt(kind)}"'
        )
    every = sorted(database.groups(), key=lambda each: (each.path.name, each.group.name))
    groups = list(_groups(every, form, _KINDS[kind]))
    told = to_json({"groups": [plain(group) for group in groups]})
    return ApiAnswer(told, _warnings(database))


def _warnings(database: SampleDatabase) -> list[str]:
    problem = database.rules_problem
    return [*database.warnings, *([f"the rules are not evaluated: {problem}"] if problem else [])]


def _groups(every: Iterable[EvaluatedGroup], form: RequestForm, kind: str) -> Iterator[ToldGroup]:
    files, names = form.fields.get("file[]", ()), form.fields.get("rule_group[]", ())
    wanted = form.fields.get("rule_name[]", ())
    without_alerts = form.text("exclude_alerts").lower() in {"1", "t", "true"}
    for each in every:
        if (files and each.path.name not in files) or (names and each.group.name not in names):
            continue
        rules = [
            told
            for rule in each.rules
            if (told := _rule(rule, each, without_alerts=without_alerts)).type in kind or not kind
            if not wanted or told.name in wanted
        ]
        if rules:  # Prometheus 2 told of empty groups, 3 does not
            yield _group(each, rules)


def _group(
    each: EvaluatedGroup, rules: Sequence[ToldAlertingRule | ToldRecordingRule]
) -> ToldGroup:
    interval_ns = each.group.interval_ns
    return ToldGroup(
        name=each.group.name,
        file=each.path.name,
        rules=rules,
        interval=_EVERY_S if interval_ns is None else interval_ns / NS,
        limit=each.group.limit,
        evaluationTime=each.took_ns / NS,
        lastEvaluation=rfc3339(each.evaluated_ns),
    )


def _rule(
    found: EvaluatedRule, group: EvaluatedGroup, *, without_alerts: bool
) -> ToldAlertingRule | ToldRecordingRule:
    rule = found.rule
    health = "unknown" if group.evaluated_ns is None else "err" if found.problem else "ok"
    if isinstance(rule, RecordingRule):
        return ToldRecordingRule(
            name=rule.record,
            query=_printed(rule.query),
            labels=dict(rule.labels) or None,
            health=health,
            lastError=found.problem or None,
            evaluationTime=found.took_ns / NS,
            lastEvaluation=rfc3339(group.evaluated_ns),
        )
    return ToldAlertingRule(
        state=_state(found.alerts),
        name=rule.alert,
        query=_printed(rule.query),
        duration=rule.for_ns / NS,
        keepFiringFor=rule.keep_firing_ns / NS,
        labels=dict(rule.labels),
        annotations=dict(rule.annotations),
        alerts=() if without_alerts else [_alert(each) for each in found.alerts],
        health=health,
        lastError=found.problem or None,
        evaluationTime=found.took_ns / NS,
        lastEvaluation=rfc3339(group.evaluated_ns),
    )


def _printed(query: Query) -> str:
    """An expression on one line, as Prometheus prints it; a long one as it is written.

    The parser prints as Prometheus does what fits a line, and breaks up what does not. Only its
    numbers beyond a float's usual digits look different: `Inf` for `+Inf`.
    """
    printed = str(promql_parser.parse(query.text).prettify())
    return query.text.strip() if "\n" in printed else printed


def _state(found: Sequence[AlertInstance]) -> str:
    """The state of a rule: that of its worst alert."""
    if any(each.state == "firing" for each in found):
        return "firing"
    return "pending" if found else "inactive"


def _alert(each: AlertInstance) -> ToldAlert:
    since_ns = each.missing_since_ns
    return ToldAlert(
        labels=dict(each.labels),
        annotations=dict(each.annotations),
        state=each.state,
        activeAt=rfc3339(each.active_at_ns),
        keepFiringSince=None if since_ns is None else rfc3339(since_ns),
        value=exponent_text(each.value),
    )
