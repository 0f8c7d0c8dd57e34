"""Mutants of alert rules: each is wrong in one thing, can be loaded, and is another rule."""

from pathlib import Path

import pytest

from gameday.telemetry.alerts.mutants import KINDS, Mutant, mutants
from gameday.telemetry.alerts.rules import AlertRule, load_rules

ROOT = Path(__file__).parents[2]
SHIPPED = ("system_under_test/prometheus/alerts.yml", "experiments/rules/quick.yml")


def rule(tmp_path: Path, expr: str, **more: str) -> AlertRule:
    lines = [f"    - alert: A\n      expr: '{expr}'"]
    lines += [f"      {key.rstrip('_')}: {value}" for key, value in more.items()]
    path = tmp_path / "rules.yml"
    path.write_text("groups:\n- name: g\n  rules:\n" + "\n".join(lines) + "\n")
    (found,) = load_rules(path).alerts
    return found


def texts(found: list[Mutant], kind: str) -> list[str]:
    return [m.rule.query.text for m in found if m.kind == kind and m.rule is not None]


def test_each_kind_changes_what_it_says(tmp_path: Path) -> None:
    found = mutants(rule(tmp_path, 'rate(x_total{code="5"}[10s]) > 0.5', for_="5s"))
    assert texts(found, "threshold") == [
        'rate(x_total{code="5"}[10s]) > 5',
        'rate(x_total{code="5"}[10s]) > 0.05',
    ]
    assert texts(found, "comparison") == ['rate(x_total{code="5"}[10s]) < 0.5']
    assert texts(found, "window") == [
        'rate(x_total{code="5"}[60s]) > 0.5',
        'rate(x_total{code="5"}[1s]) > 0.5',
    ]
    assert texts(found, "metric") == ['rate(x_total_renamed{code="5"}[10s]) > 0.5']
    assert texts(found, "matcher") == ['rate(x_total{code="renamed"}[10s]) > 0.5']
    assert [m.rule.for_ns for m in found if m.kind == "for" and m.rule] == [110 * 10**9, 0]
    assert [m.rule for m in found if m.kind == "removed"] == [None]


@pytest.mark.parametrize(
    "expr",
    [
        'x{a!="b > 3"} > 1',
        'x{a=~"[5m] < 2"} == 0',
        "sum(rate(x[1m])) / sum(rate(xy[1m])) > 0.1 and on() x < 4e-3",
        'absent(x{path="/a{b}[5m]"})',
        "min_over_time(x[10m:1m]) >= bool 5",
    ],
)
def test_a_mutant_is_another_rule_that_can_be_loaded(tmp_path: Path, expr: str) -> None:
    original = rule(tmp_path, expr)
    seen = {_key(original)}
    for mutant in mutants(original):
        if mutant.rule is not None:
            key = _key(mutant.rule)
            assert key not in seen, mutant.change
            seen.add(key)


def test_what_stands_in_a_label_value_is_no_threshold(tmp_path: Path) -> None:
    found = mutants(rule(tmp_path, 'x{a="b > 3",c="[5m]"} > 1'))
    assert texts(found, "threshold") == [
        'x{a="b > 3",c="[5m]"} > 10',
        'x{a="b > 3",c="[5m]"} > 0.1',
    ]
    assert texts(found, "window") == []


@pytest.mark.parametrize("path", SHIPPED)
def test_every_shipped_rule_has_mutants_of_its_kinds(path: str) -> None:
    for each in load_rules(ROOT / path).alerts:
        kinds = {mutant.kind for mutant in mutants(each)}
        assert {"for", "metric", "removed"} <= kinds <= set(KINDS)


def _key(rule: AlertRule) -> tuple[object, ...]:
    return rule.query.text, rule.for_ns, rule.keep_firing_ns, rule.labels


def test_labels_and_what_keeps_an_alert_firing_are_mutated(tmp_path: Path) -> None:
    found = mutants(rule(tmp_path, "x > 1", labels="{severity: page, team: drop}"))
    labels = [dict(m.rule.labels) for m in found if m.kind == "label" and m.rule]
    assert labels == [
        {"severity": "renamed", "team": "drop"},
        {"team": "drop"},
        {"severity": "page", "team": "renamed"},
        {"severity": "page"},
    ]
    assert [m.rule.keep_firing_ns for m in found if m.kind == "keep" and m.rule] == [60 * 10**9]
