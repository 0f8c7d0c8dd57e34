"""The alert state machine, instant by instant, by itself and over a store."""

import json
import tracemalloc
from importlib import import_module
from pathlib import Path

import pytest

from gameday.core.clock import NS
from gameday.core.errors import Place
from gameday.telemetry.alerts import state
from gameday.telemetry.alerts.rules import AlertRule, load_rules
from gameday.telemetry.alerts.state import Evaluator, RuleState
from gameday.telemetry.collector.evaluation import SeriesEvaluator
from gameday.telemetry.promql import (
    PROMETHEUS_3,
    EvaluationError,
    InstantEvaluator,
    SeriesStore,
    evaluate,
    labels,
    parse,
)

PRESENT = {labels("x", job="a"): 1.0}


def machine(for_s: float = 0, keep_s: float = 0, limit: int = 0, **own: str) -> RuleState:
    rule = AlertRule(
        alert="A",
        query=parse("x > 0"),
        for_ns=int(for_s * NS),
        keep_firing_ns=int(keep_s * NS),
        labels=tuple(own.items()),
        annotations=(),
        place=Place("alerts.yml", 1, 1),
    )
    return RuleState(rule, limit)


TABLE = [
    # for, keep_firing_for, seconds of evaluation with (1) or without (0) a result, states after it
    (0, 0, "0:1 1:1 2:0 3:1", "F F - F"),
    (2, 0, "0:1 1:1 2:1 3:1", "P P F F"),
    (2, 0, "0:1 1:0 2:1 3:1 4:1", "P - P P F"),
    (0.5, 0, "0:1 1:1", "P F"),
    (2, 0, "0:1 1:1 2:1 3:0 4:1 5:1 6:1", "P P F - P P F"),
    (0, 2, "0:1 1:0 2:0 3:0 4:0", "F F F - -"),
    (0, 2, "0:1 1:0 2:1 3:0 4:0 5:0", "F F F F F -"),
    (3, 2, "0:1 1:0 2:0", "P - -"),
    (5, 0, "0:1 4:1 10:1", "P P F"),
]


@pytest.mark.parametrize(("for_s", "keep_s", "seen", "states"), TABLE)
def test_an_alert_goes_through_its_states(
    for_s: float, keep_s: float, seen: str, states: str
) -> None:
    state, found = machine(for_s, keep_s), []
    for word in seen.split():
        t_s, _, present = word.partition(":")
        alerts = state.evaluate(PRESENT if present == "1" else {}, int(t_s) * NS)
        found.append({"pending": "P", "firing": "F"}[alerts[0].state] if alerts else "-")
    assert " ".join(found) == states


def test_an_alert_knows_when_it_became_active_and_when_it_fired() -> None:
    state = machine(for_s=2)
    for t_s in range(7, 10):
        state.evaluate(PRESENT, t_s * NS)
    (alert,) = state.evaluate(PRESENT, 10 * NS)
    assert (alert.active_at_ns, alert.fired_at_ns) == (7 * NS, 9 * NS)
    state.evaluate({}, 12 * NS)
    assert list(state.resolved().values()) == [12 * NS]
    state.evaluate({}, (12 + 15 * 60 + 1) * NS)
    assert state.resolved() == {}


def test_the_labels_of_the_rule_win_and_the_name_goes() -> None:
    (alert,) = machine(job="b", page="{{ $labels.job }}").evaluate(PRESENT, 0)
    assert dict(alert.labels) == {"alertname": "A", "job": "b", "page": "a"}
    assert alert.name == "A"
    assert alert.state == "firing"


def test_two_results_with_the_same_labels_are_an_error_that_changes_nothing() -> None:
    state = machine(job="same")
    state.evaluate(PRESENT, 0)
    twice = {labels("x", job="a"): 1.0, labels("x", job="b"): 1.0}
    with pytest.raises(EvaluationError, match="two results"):
        state.evaluate(twice, NS)
    assert [a.state for a in state.alerts()] == ["firing"]


def test_more_alerts_than_the_limit_drop_them_all() -> None:
    state = machine(limit=1)
    state.evaluate(PRESENT, 0)
    with pytest.raises(EvaluationError, match="exceed the limit of 1"):
        state.evaluate({**PRESENT, labels("x", job="b"): 1.0}, NS)
    assert state.alerts() == []


RULES = """\
groups:
  - name: fast
    rules:
      - {alert: Fast, expr: sum by (job) (x) > 1, for: 2s}
      - {alert: Broken, expr: x + on () group_left () y > 0}
  - name: slow
    interval: 3s
    rules:
      - {alert: Slow, expr: x > 1}
"""


def test_groups_are_evaluated_at_their_own_pace_and_problems_are_told(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yml"
    path.write_text(RULES)
    evaluator, store = Evaluator([load_rules(path)]), SeriesStore()
    lines = []
    for t_s in range(8):
        found = [(labels("x", job="a"), 5.0 if 2 <= t_s < 7 else 0.0)]
        store.append(t_s * NS, [*found, (labels("y", k="1"), 1.0), (labels("y", k="2"), 1.0)])
        alerts = evaluator.tick(store, t_s * NS)
        lines.append(" ".join(f"{a.name}:{a.state[0]}" for a in alerts))
    assert lines == [
        "",
        "",
        "Fast:p",
        "Fast:p Slow:f",
        "Fast:f Slow:f",
        "Fast:f Slow:f",
        "Fast:f Slow:f",
        "Slow:f",
    ]
    ((name, problem),) = evaluator.problems.items()
    assert "Broken" in name
    assert "must be unique" in problem


def test_a_rule_that_can_be_evaluated_again_is_no_problem_any_more(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yml"
    path.write_text(RULES)
    evaluator, store = Evaluator([load_rules(path)]), SeriesStore()
    both = [(labels("x"), 1.0), (labels("y", k="1"), 1.0), (labels("y", k="2"), 1.0)]
    store.append(0, both, source="s")
    evaluator.tick(store, 0)
    assert evaluator.problems
    store.append(NS, both[:2], source="s")
    evaluator.tick(store, NS)
    assert evaluator.problems == {}


RECORDING = """\
groups:
  - name: a
    rules:
      - {alert: Early, expr: "x:twice > 3"}
      - {record: "x:twice", expr: "x * 2", labels: {kind: made}}
      - {record: "x:four", expr: "x:twice * 2"}
      - {alert: Late, expr: "x:four > 7"}
      - {record: "x:all", expr: "max_over_time(x:four[3s:1s])"}
  - name: b
    query_offset: 1s
    rules:
      - {record: "x:then", expr: "x"}
"""


def test_recorded_series_are_read_by_the_rules_below_at_once(tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    path.write_text(RECORDING)
    asked = parse("x:twice")
    evaluator, store = Evaluator([load_rules(path)], [asked]), SeriesStore()
    seen = []
    for t_s, x in enumerate([1, 2, None, 3]):
        t_ns = t_s * NS
        found = [] if x is None else [(labels("x", job="a"), float(x))]
        store.append(t_ns, found, source="s")
        moment = InstantEvaluator(store, t_ns)
        moment.value(asked.node)  # what was known before is not known any more
        alerts = evaluator.tick(store, t_ns, moment)
        assert evaluator.problems == {}
        seen.append(([a.name for a in alerts], moment.value(asked.node)))
    made = labels("x:twice", job="a", kind="made")
    assert seen[0] == ([], {made: 2.0})
    assert seen[1] == (["Late"], {made: 4.0})
    assert seen[2] == (["Early"], {})
    assert seen[3] == (["Late"], {made: 6.0})
    then = evaluate(parse("x:then"), store, 3 * NS)
    assert then == {}  # as of the second before, when x was not there
    highest = evaluate(parse("x:all"), store, 3 * NS)
    assert highest == {labels("x:all", job="a", kind="made"): 12.0}


def test_objectives_read_what_rules_record_at_the_same_instant(tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    group = "{name: a, query_offset: 1h, rules: [{record: y, expr: x}]}"
    path.write_text(f"groups: [{{name: b, rules: [{{record: z, expr: 'x * 2'}}]}}, {group}]")
    evaluator = SeriesEvaluator({"objective a": "z > 5"}, [path], 0)
    assert evaluator.store.retention_ns > 3900 * NS  # an hour, and the lookback
    readings = []
    for t_s, x in enumerate([2.0, 3.0]):
        evaluator.store.append(t_s * NS, [(labels("x"), x)], source="s")
        readings.append(evaluator.at(t_s * NS).readings)
    assert readings == [{"objective a": False}, {"objective a": True}]


def test_a_greedy_rule_is_named_and_takes_nothing_from_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = import_module(InstantEvaluator.__module__)  # its function has its name
    monkeypatch.setattr(module, "MOST_SAMPLES", 50_000)
    monkeypatch.setattr(module, "MOST_SAMPLES_TOGETHER", 100_000)
    path = tmp_path / "rules.yml"
    greedy = "max_over_time(count(x @ 0)[1h:1s]) > 0"
    rules = ", ".join(
        f"{{alert: G{n}, expr: '{greedy.replace('count', how)}'}}"
        for n, how in enumerate(("count", "sum", "avg"))
    )
    honest = "max_over_time(max(x)[5s:1s]) > 0"
    path.write_text(f"groups: [{{name: a, rules: [{rules}, {{alert: H, expr: '{honest}'}}]}}]")
    asked = {"guard:0": "min_over_time(max(x)[5s:1s]) > 0", "guard:1": greedy}
    evaluator = SeriesEvaluator(asked, [path], 0)
    evaluator.store.append(0, [(labels("x", i=str(i)), 1.0) for i in range(700)])
    for _ in range(2):
        found = evaluator.at(0)
        assert [alert.name for alert in found.alerts] == ["H"]
        assert found.readings == {"guard:0": True, "guard:1": None}
        problems = found.problems or {}
        assert [name.rpartition(" ")[2] for name in problems] == ["G0", "G1", "G2", "guard:1"]
        assert ["others" in why for why in problems.values()] == [False, True, True, True]


ALIASED = """\
groups:
  - {name: a, labels: {env: a}, rules: &r [{record: r, expr: sum(x)}, {record: b, expr: x + y}]}
  - {name: b, labels: {env: b}, rules: *r}
  - {name: c, labels: {env: c}, rules: *r}
"""


def test_rules_that_share_their_text_by_an_alias_are_rules_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    path.write_text(ALIASED)
    evaluator, store = Evaluator([load_rules(path)]), SeriesStore()
    for t_s in range(3):
        store.append(t_s * NS, [(labels("x"), float(t_s)), (labels("y"), 1.0)], source="s")
        evaluator.tick(store, t_s * NS)
        found = evaluate(parse("r"), store, t_s * NS)
        assert found == {labels("r", env=env): float(t_s) for env in "abc"}
        assert len(evaluate(parse("b"), store, t_s * NS)) == 3  # type: ignore[arg-type]
        assert evaluator.problems == {}


def test_recorded_samples_that_others_have_written_are_told(tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    rules = "{record: r, expr: x}, {record: r, expr: x * 2}, {record: r, expr: x}"
    path.write_text(f"groups: [{{name: a, rules: [{rules}, {{record: x, expr: vector(9)}}]}}]")
    evaluator, store = Evaluator([load_rules(path)]), SeriesStore()
    for t_s in range(2):
        store.append(t_s * NS, [(labels("x"), 1.0)], source="s")
        evaluator.tick(store, t_s * NS)
        assert evaluate(parse("r"), store, t_s * NS) == {labels("r"): 1.0}
        problems = evaluator.problems.items()
        assert [(key.rpartition(" ")[2], "1 of its 1 series" in why) for key, why in problems] == [
            ("r", True),
            ("x", True),
        ]
    for t_s in range(2, 4):
        store.append(t_s * NS, [], source="s")
        evaluator.tick(store, t_s * NS)
    assert evaluator.problems == {}


def test_what_rules_record_is_bounded_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "MOST_RECORDED", 1_000)
    monkeypatch.setattr(state, "MOST_RECORDED_TOGETHER", 5_000)
    path = tmp_path / "rules.yml"
    doubled = [f'label_replace(d, "{n}", "a$1", "{n}", "(.*)")' for n in "no"]
    rules = [
        {"record": "d", "expr": f"{' or '.join(doubled)} or d or x"},
        {"record": "e", "expr": 'count_values("t", y + time() * 10000)'},
        {"record": "f", "expr": "x"},
    ]
    path.write_text(json.dumps({"groups": [{"name": "a", "rules": rules}]}))
    evaluator, store = Evaluator([load_rules(path)]), SeriesStore()
    many = [(labels("y", n=str(n)), float(n)) for n in range(900)]
    wide = [(labels("x", w=str(n)), 1.0) for n in range(200)]
    for t_s in range(7):
        store.append(t_s * NS, [*wide, *many], source="s")
        evaluator.tick(store, t_s * NS)
    told = dict(zip("de", evaluator.problems.values(), strict=True))
    assert "more than 1000" in told["d"]
    assert "different series" in told["e"]
    assert evaluate(parse("count(f)"), store, 6 * NS) == {(): 200.0}
    assert len(store) < 7_500


@pytest.mark.parametrize("form", ['{{a="{}"}}', '{{__name__=~"{}.*"}}'])
def test_many_rules_beside_many_selectors_of_any_name_are_cheap(form: str, tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    each = [" or ".join(form.format(f"{n:x}{k}") for k in range(6)) for n in range(900)]
    rules = [{"record": f"r{n}", "expr": expr} for n, expr in enumerate(each)]
    path.write_text(json.dumps({"groups": [{"name": "a", "rules": rules}]}))
    files, store = [load_rules(path)], SeriesStore()
    tracemalloc.start()
    evaluator = Evaluator(files)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6
    store.append(0, [(labels("x", a="00"), 1.0)])
    evaluator.tick(store, 0)
    assert evaluator.problems == {}


def test_a_late_group_leaves_alone_what_does_not_read_it(tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    asked = parse("max_over_time(x[5s:1s])")
    late = "{name: b, query_offset: 3s, rules: [{record: z, expr: y}]}"
    path.write_text(f"groups: [{{name: a, rules: [{{record: w, expr: '{asked.text}'}}]}}, {late}]")
    evaluator, store = Evaluator([load_rules(path)]), SeriesStore()
    for t_s in range(8):
        both = [(labels("x"), float(t_s)), (labels("y"), 1.0)]
        store.append(t_s * NS, both, source="s")
        evaluator.tick(store, t_s * NS)
    held = store.past(("x[5s:1s]", PROMETHEUS_3), asked.node, 0)
    assert {3 * NS, 4 * NS, 5 * NS, 6 * NS, 7 * NS} <= held.keys()


def test_a_recording_rule_that_cannot_be_evaluated_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    rules = "[{record: y, expr: x, labels: {job: same}}, {record: z, expr: x}]"
    path.write_text(f"groups: [{{name: a, limit: 1, rules: {rules}}}]")
    evaluator, store = Evaluator([load_rules(path)]), SeriesStore()
    store.append(0, [(labels("x", job=job), 1.0) for job in "ab"])
    evaluator.tick(store, 0)
    assert evaluate(parse('{__name__=~"y|z"}'), store, 0) == {}
    problems = list(evaluator.problems.values())
    assert [("two results" in each, "limit of 1" in each) for each in problems] == [
        (True, False),
        (False, True),
    ]


def test_rules_read_the_series_of_alerts(tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    text = "{alert: A, expr: x, for: 2s, labels: {team: t}}"
    firing = 'ALERTS{alertname="A", alertstate="firing"}'
    again = f"{{alert: B, expr: '{firing} and on (team) ALERTS_FOR_STATE > 0'}}"
    path.write_text(f"groups: [{{name: a, rules: [{text}, {again}]}}]")
    evaluator, store = Evaluator([load_rules(path)]), SeriesStore(wall_offset_ns=NS)
    found = []
    for t_s in range(4):
        store.append(t_s * NS, [(labels("x"), 1.0)] if t_s < 3 else [], source="s")
        found.append(sorted(a.name + a.state[0] for a in evaluator.tick(store, t_s * NS)))
    assert found == [["Ap"], ["Ap"], ["Af", "Bf"], []]
    assert evaluate(parse("ALERTS_FOR_STATE"), store, 2 * NS) == {
        labels("ALERTS_FOR_STATE", alertname="A", team="t"): 1.0,
        labels("ALERTS_FOR_STATE", alertname="B", alertstate="firing", team="t"): 3.0,
    }
