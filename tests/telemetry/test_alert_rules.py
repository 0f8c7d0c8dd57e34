"""Rule files: what they may hold, and what a broken one says."""

from pathlib import Path

import pytest

from gameday.core.clock import NS
from gameday.core.errors import FileError, UsageError
from gameday.telemetry.alerts.rules import (
    AlertRule,
    RecordingRule,
    load_rules,
    parse_prometheus_duration,
)
from gameday.telemetry.alerts.templates import (
    expand,
    go_number,
    humanize,
    humanize_duration,
    humanize_percentage,
    unknown,
)
from gameday.telemetry.promql import labels

GOOD = """\
groups:
  - name: issuance
    interval: 1s
    limit: 10
    labels: {team: coupons, severity: page}
    rules:
      - alert: IssuanceSlow
        expr: sum(rate(x[10s])) > 0.2
        for: 5s
        keep_firing_for: 1m30s
        labels: {severity: ticket, shown: '{{ $value | humanize }}'}
        annotations:
          summary: 'p95 is {{ $value }} on {{ $labels.job }}, {{ query "x" }}'
"""
BROKEN = [
    ("groups: ]", 1, 9, "not YAML"),
    ("[]", 1, 1, "a mapping is needed"),
    ("groups: {}", 1, 9, "a list is needed"),
    ("rules: []", 1, 1, "unknown key 'rules'"),
    (GOOD.replace("interval: 1s", "interval: 1 s"), 3, 15, "'1 s' is not a duration"),
    (GOOD.replace("for: 5s", "for: 0.5s"), 9, 14, "'0.5s' is not a duration"),
    (GOOD.replace("for: 5s", "fro: 5s"), 9, 9, "unknown key 'fro'"),
    (GOOD.replace("for: 5s", "expr: x"), 9, 9, "stands here twice"),
    (GOOD.replace("limit: 10", "limit: many"), 4, 12, "'many' is not a whole number"),
    (GOOD.replace("rate(x[10s])", "info(x)"), 8, 15, "in 'info(x)': the function"),
    (GOOD.replace("rate(x[10s])", "rate(x)"), 8, 15, "expected type matrix"),
    (GOOD.replace("alert: IssuanceSlow", "record: a:b"), 9, 14, "'for' is for alerts only"),
    (GOOD.replace("alert: IssuanceSlow", "record: a-b"), 7, 17, "'a-b' is not a name for a metric"),
    (GOOD.replace("  for: 5s", "  record: b"), 9, 17, "either an 'alert' or a 'record'"),
    (GOOD.replace("        expr: sum(rate(x[10s])) > 0.2\n", ""), 7, 9, "without 'expr'"),
    (GOOD.replace("severity: ticket", "a-b: ticket"), 11, 18, "'a-b' is not a name"),
    (GOOD.replace("severity: ticket", "alertname: other"), 11, 18, "the alert's own"),
    (GOOD + "  - name: issuance\n", 14, 5, "the group 'issuance' appears twice"),
    (GOOD.replace("severity: ticket", "<<: b"), 11, 22, "a merge key needs a mapping"),
]


def written(folder: Path, text: str) -> Path:
    path = folder / "alerts.yml"
    path.write_text(text)
    return path


def test_a_rule_file_is_read_whole(tmp_path: Path) -> None:
    found = load_rules(written(tmp_path, GOOD))
    (group,) = found.groups
    (rule,) = found.alerts
    assert (group.name, group.interval_ns, group.limit) == ("issuance", NS, 10)
    assert (rule.alert, rule.for_ns, rule.keep_firing_ns) == ("IssuanceSlow", 5 * NS, 90 * NS)
    assert dict(rule.labels)["severity"] == "ticket"
    assert dict(rule.labels)["team"] == "coupons"
    assert rule.query.text == "sum(rate(x[10s])) > 0.2"


def test_labels_are_texts_as_they_are_written(tmp_path: Path) -> None:
    labels = "labels: {version: 1.10, code: 010, old: true, none: , quoted: '1'}"
    text = GOOD.replace("labels: {team: coupons, severity: page}", labels)
    ((rule,),) = (load_rules(written(tmp_path, text)).alerts,)
    told = {"version": "1.10", "code": "010", "old": "true", "none": "", "quoted": "1"}
    assert told.items() <= dict(rule.labels).items()


def test_an_alias_stands_for_what_it_names(tmp_path: Path) -> None:
    text = GOOD.replace("name: issuance", "name: &name issuance") + "          where: *name\n"
    (rule,) = load_rules(written(tmp_path, text)).alerts
    assert dict(rule.annotations)["where"] == "issuance"


def test_merge_keys_lay_mappings_under_others(tmp_path: Path) -> None:
    """As in YAML 1.1: a mapping's own keys win, then those of the first that is merged."""
    text = """\
groups:
  - name: a
    rules:
      - &first {alert: A, expr: x > 1, for: 5s, labels: &labels {team: t, severity: page}}
      - <<: *first
        alert: B
        labels: {<<: [{team: u}, *labels], severity: ticket}
"""
    (_, rule) = load_rules(written(tmp_path, text)).alerts
    assert (rule.alert, rule.for_ns, rule.query.text) == ("B", 5 * NS, "x > 1")
    assert dict(rule.labels) == {"team": "u", "severity": "ticket"}


def test_a_merge_key_in_quotes_is_a_key_as_any_other(tmp_path: Path) -> None:
    keys = ("'<<': a", '"<<": a', "!!str <<: a", "? '<<'\n          : a")
    text = "groups:\n  - name: a\n    rules:\n"
    for key in keys:
        text += f"      - record: r\n        expr: x\n        labels:\n          {key}\n"
    (group,) = load_rules(written(tmp_path, text)).groups
    assert [rule.labels for rule in group.rules] == [(("<<", "a"),)] * len(keys)


@pytest.mark.parametrize(
    "text",
    ["", "# nothing\n", "---\n", "groups:\n", "groups: []\n", "groups: [{name: a, rules: }]\n"],
)
def test_a_file_without_rules_is_one_and_says_so(text: str, tmp_path: Path) -> None:
    found = load_rules(written(tmp_path, text))
    assert found.alerts == ()
    assert [str(each) for each in found.warnings] == [f"{tmp_path}/alerts.yml:1:1: holds no rules"]


def test_what_is_null_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    nulls = "    labels:\n    query_offset:\n    rules:"
    text = GOOD.replace("    labels: {team: coupons, severity: page}\n    rules:", nulls)
    text = text.replace("for: 5s", "for:").replace("interval: 1s", "interval: 0s")
    found = load_rules(written(tmp_path, text))
    assert (found.groups[0].interval_ns, found.alerts[0].for_ns) == (None, 0)


def test_numbers_may_have_underscores(tmp_path: Path) -> None:
    text = GOOD.replace("limit: 10", "limit: 1_000").replace(
        "> 0.2", '> 1_000_000 + x_1_0{a="1_0"}'
    )
    found = load_rules(written(tmp_path, text))
    assert found.groups[0].limit == 1000
    assert found.alerts[0].query.metric_names() == {"x", "x_1_0"}
    assert "1_000_000" in found.alerts[0].query.text
    assert found.alerts[0].query.node.text.endswith('> 1000000 + x_1_0{a="1_0"}')


def test_recording_rules_are_read_with_their_labels(tmp_path: Path) -> None:
    text = """\
groups:
  - name: slo
    query_offset: 30s
    labels: {team: a, sloth: b}
    rules:
      - {record: "job:errors:rate5m", expr: "sum by (job) (rate(x[5m]))", labels: {team: c, a-b: d}}
      - {alert: A, expr: "job:errors:rate5m > 0.5"}
"""
    found = load_rules(written(tmp_path, text))
    (group,) = found.groups
    assert group.offset_ns == 30 * NS
    assert [type(rule) for rule in group.rules] == [RecordingRule, AlertRule]
    assert dict(group.rules[0].labels) == {"team": "c", "sloth": "b", "a-b": "d"}
    assert len(found.queries) == 2


OPERATOR = """\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: NAME}
spec:
  groups:
    - name: a
      partial_response_strategy: warn
      rules: [{alert: NAME, expr: x > 1}]
"""


def test_the_rules_of_kubernetes_objects_are_those_of_all_of_them(tmp_path: Path) -> None:
    parts = [OPERATOR, "kind: ConfigMap\ndata: {groups: 1}\n", OPERATOR.replace("NAME", "B")]
    found = load_rules(written(tmp_path, "---\n".join(["", *parts])))
    assert [rule.alert for rule in found.alerts] == ["NAME", "B"]
    (warning,) = found.warnings
    assert "no PrometheusRule" in warning.text
    with pytest.raises(FileError, match="a list is needed"):
        load_rules(written(tmp_path, OPERATOR.replace("[{alert: NAME, expr: x > 1}]", "a")))


def test_of_several_documents_the_first_counts_as_in_prometheus(tmp_path: Path) -> None:
    found = load_rules(written(tmp_path, GOOD + "---\n" + GOOD))
    assert len(found.alerts) == 1
    assert any("begins a document that is not read" in w.text for w in found.warnings)


def test_subqueries_of_a_file_are_bounded_together(tmp_path: Path) -> None:
    costly = "max_over_time((x < time())[3h:1s]) > 1"
    rules = "".join(f"      - {{alert: A{n}, expr: '{costly}'}}\n" for n in range(6))
    text = f"groups:\n  - name: a\n    rules:\n{rules}"
    with pytest.raises(FileError, match="come to 64806 instants") as error:
        load_rules(written(tmp_path, text))
    assert error.value.place.line == 9


def test_a_template_that_is_not_known_is_reported(tmp_path: Path) -> None:
    (warning,) = load_rules(written(tmp_path, GOOD)).warnings
    assert '{{ query "x" }}' in warning.text
    assert "IssuanceSlow" in warning.text


@pytest.mark.parametrize(("text", "line", "column", "problem"), BROKEN, ids=[b[3] for b in BROKEN])
def test_a_broken_rule_file_says_where(
    text: str, line: int, column: int, problem: str, tmp_path: Path
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(FileError) as error:
        load_rules(path)
    assert problem in error.value.message
    assert (error.value.place.line, error.value.place.column) == (line, column)
    assert error.value.message.startswith(str(path))


def test_an_error_in_an_expression_names_group_and_rule(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="group 'issuance', alert 'IssuanceSlow': in 'info"):
        load_rules(written(tmp_path, GOOD.replace("rate(x[10s])", "info(x)")))


def test_a_rule_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_rules(tmp_path / "none.yml")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("5s", 5), ("1m30s", 90), ("1d", 86400), ("1w", 604800), ("250ms", 0.25)],
)
def test_durations_are_written_as_in_prometheus(text: str, seconds: float) -> None:
    assert parse_prometheus_duration(text) == int(seconds * NS)


@pytest.mark.parametrize("text", ["", "5", "s", "1s1m", "-1s", "1.5s", " 1s"])
def test_what_prometheus_does_not_take_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_prometheus_duration(text)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain", "plain"),
        ("{{ $value }}", "0.25"),
        ("{{ $labels }}", "map[__name__:x job:api]"),
        ("{{$labels.job}} and {{ .Labels.none }}", "api and "),
        ("{{ $value | humanizePercentage }}", "25%"),
        ('{{ printf "%.1f" $value }}', "0.2"),
        ('{{ $value | printf "%.3f" }}', "0.250"),
        ('{{ printf "%0.0f|" $value }}', "0|"),
        ('{{ printf "%6.2f" $value }}', "  0.25"),
        ('{{ printf "%.99f" $value }}', f"0.25{'0' * 97}"),
        ('{{ printf "%.999999999f" $value }}', '{{ printf "%.999999999f" $value }}'),
        ('{{ $value | printf "%999999999g" }}', '{{ $value | printf "%999999999g" }}'),
        ('{{ query "up" }}', '{{ query "up" }}'),
    ],
)
def test_templates_are_filled_in(template: str, text: str) -> None:
    assert expand(template, labels("x", job="api"), 0.25) == text
    assert bool(unknown(template)) == (text == template and "{{" in template)


def test_numbers_are_made_readable_as_prometheus_does() -> None:
    assert [humanize(v) for v in (0, 1234567, 0.0123, 12.5)] == ["0", "1.235M", "12.3m", "12.5"]
    assert humanize_percentage(0.125) == "12.5%"
    durations = [humanize_duration(v) for v in (0.25, 5.5, 90, 3700, 90000)]
    assert durations == ["250ms", "5.5s", "1m 30s", "1h 1m 40s", "1d 1h 0m 0s"]


def test_numbers_are_written_as_go_does() -> None:
    shown = [go_number(v) for v in (0.0, -5.0, 123456.0, 1234567.0, 1e20, 0.0001, 0.00001)]
    assert shown == ["0", "-5", "123456", "1.234567e+06", "1e+20", "0.0001", "1e-05"]
