"""The objective on failures that a file does not write: when there is one, and when it is false."""

from collections.abc import Sequence
from typing import Any

import pytest

from gameday.core import settings
from gameday.core.clock import NS
from gameday.spec.experiment import Experiment
from gameday.spec.failures import Failures
from gameday.spec.inputs import has_short, load_experiment
from gameday.spec.shipped import all_experiments
from gameday.telemetry.failures import (
    assumed_objective,
    failed_outcomes,
    filled,
    speaks_of_failures,
    steady_state,
)
from gameday.telemetry.promql import SeriesStore, labels, parse, reading

FAST = "histogram_quantile(0.95, sum by (le) (rate(k6_http_req_duration_seconds_bucket[5s]))) < 0.2"
OURS = 'sum(rate(k6_http_reqs_total{outcome=~"refused|unknown"}[5s])) < 1'


def experiment(*objectives: str, **keys: Any) -> Experiment:
    named = [{"name": f"o{n}", "expr": expr} for n, expr in enumerate(objectives)]
    drop = {"executor": "constant-arrival-rate", "rate": "10/s", "duration": "30s"}
    given = {"name": "x", "traffic": {"drop": drop}, "objectives": named, **keys}
    return Experiment.model_validate(given)


@pytest.mark.parametrize(
    ("expr", "speaks"),
    [
        (FAST, False),
        (OURS, True),
        ('rate(k6_http_reqs_total{outcome="unknown"}[5s]) < 1', True),
        ('rate(k6_http_reqs_total{outcome!="issued"}[5s]) < 1', True),
        ('rate(k6_http_reqs_total{outcome="issued"}[5s]) > 1', False),
        ('rate(k6_http_reqs_total{outcome="refused"}[5s]) < 1', False),
        ("rate(k6_http_reqs_total[5s]) > 1", False),
        ('sum(rate(requests_total{status="500"}[5s])) < 1', True),
        ('sum(rate(requests_total{code=~"5.."}[5s])) < 1', True),
        ('sum(rate(requests_total{code!~"2.."}[5s])) < 1', True),
        ('sum(rate(requests_total{code="200"}[5s])) > 1', False),
        ('sum(rate(requests_total{code=~".*"}[5s])) > 1', False),
        ("rate(checkout_errors_total[5s]) < 1", True),
        ("rate(failed_total[5s]) == 0", True),
        ('sum(rate(requests_total{http_response_status_code=~"5.+"}[5s])) < 1', True),
        ("job:errors:rate5m < 1", True),
        ("rate(checkout_failures_total[5s]) < 1", True),
        ("up == 1", False),
        ('up{port="500"} == 1', False),
        ("pg_failover_in_progress == 0", False),
        ("rate(terrors_total[5s]) < 1", False),
        ('rate(latency_milliseconds_bucket{le="500"}[5s]) > 9', False),
        ("this is no expression", False),
    ],
)
def test_an_objective_on_failures_is_known_by_what_it_selects(expr: str, speaks: bool) -> None:
    assert speaks_of_failures(experiment(expr)) is speaks
    assert (filled(experiment(expr)).failures is None) is speaks


@pytest.mark.parametrize(
    ("key", "speaks"),
    [
        ("http_req_failed", True),
        ("http_req_failed{scenario:people}", True),
        ("http_reqs{outcome:unknown}", True),
        ("http_reqs{status:503}", True),
        ("http_reqs{status:0}", True),
        ("http_reqs{expected_response:false}", True),
        ("http_reqs", False),
        ("http_reqs{outcome:issued}", False),
        ("http_req_duration", False),
        ("no_such_metric", False),
    ],
)
def test_a_threshold_on_failures_turns_it_off(key: str, speaks: bool) -> None:
    text = ["p(95)<200"] if key == "http_req_duration" else ["count<3"]
    asked = experiment(FAST, expect={"thresholds": {key: text}})
    assert speaks_of_failures(asked) is speaks


def test_a_file_that_expects_failures_has_no_other_objective() -> None:
    asked = filled(experiment(FAST, failures="expected"))
    assert asked.failures == "expected"
    assert [each.name for each in steady_state(asked)] == ["o0"]


def test_what_was_run_before_has_the_objectives_of_its_file_alone() -> None:
    assert steady_state(experiment()) == []
    assert [each.name for each in steady_state(experiment(FAST))] == ["o0"]


def test_the_assumed_objective_takes_no_name_that_is_taken() -> None:
    taken = [{"name": "answered", "expr": FAST}, {"name": "answered-2", "expr": FAST}]
    asked = filled(experiment(objectives=taken))
    assert [each.name for each in steady_state(asked)] == ["answered", "answered-2", "answered-3"]


def test_the_share_is_the_files_before_it_is_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert filled(experiment()).failures == Failures(above=0.05)
    monkeypatch.setenv("GAMEDAY_DAMAGE_FAILURES_ABOVE", "0.2")
    settings.begin()
    try:
        assert filled(experiment()).failures == Failures(above=0.2)
        own = filled(experiment(failures={"above": 0.01}))
        assert own.failures == Failures(above=0.01)
    finally:
        settings.end()


@pytest.mark.parametrize(
    ("objectives", "keys", "failed"),
    [
        ([FAST], {"failures": {"above": 0.05}}, ["unknown", "unreached"]),
        ([OURS], {}, ["refused", "unknown", "unreached"]),
        (['rate(k6_http_reqs_total{outcome="unknown"}[5s]) < 1'], {}, ["unknown", "unreached"]),
        ([OURS], {"failures": {"above": 0.05}}, ["refused", "unknown", "unreached"]),
        ([FAST], {"failures": "expected"}, ["refused", "unknown", "unreached"]),
    ],
)
def test_reports_call_failed_what_the_objectives_count(
    objectives: list[str], keys: dict[str, Any], failed: list[str]
) -> None:
    assert failed_outcomes(experiment(*objectives, **keys)) == failed


def holds(
    above: float,
    answered: Sequence[float],
    unknown: Sequence[float],
    unreached: float = 0.0,
    **others: float,
) -> bool | None:
    """The assumed objective at the end of so many seconds of answers, and of those that failed."""
    objective = assumed_objective(experiment(failures={"above": above}))
    assert objective is not None
    store = SeriesStore(60.0)
    lost, totals = 0.0, {"issued": 0.0, "unknown": 0.0, **dict.fromkeys(others, 0.0)}
    for second in range(len(answered) + 1):
        series = [
            (labels("k6_http_reqs_total", scenario="drop", outcome=outcome), total)
            for outcome, total in totals.items()
        ]
        series.append((labels("k6_http_reqs_unreached_total", scenario="drop"), lost))
        store.append((100 + second) * NS, series, source="")
        if second < len(answered):
            totals["issued"] += answered[second] - unknown[second]
            totals["unknown"] += unknown[second]
            for outcome, each in others.items():
                totals[outcome] += each
            lost += unreached
    return reading(parse(objective.expr), store, (100 + len(answered)) * NS)


@pytest.mark.parametrize(
    ("answered", "unknown", "well"),
    [
        ([0] * 8, [0] * 8, True),  # nobody asks
        ([0] * 7 + [2], [0] * 7 + [1], True),  # one of the two of an idle second
        ([0] * 7 + [2], [0] * 7 + [2], True),
        ([0] * 7 + [3], [0] * 7 + [3], False),
        ([5] * 3 + [0] * 3 + [3], [0] * 6 + [3], False),
        ([1] * 8, [1] * 8, False),
        ([1] * 8, [0] * 8, True),
        ([100] * 8, [0] * 8, True),
        ([100] * 8, [4] * 8, True),
        ([100] * 8, [6] * 8, False),
        ([100] * 8, [0] * 7 + [18], True),
        ([100] * 8, [0] * 7 + [30], False),
        ([100] * 8, [100] * 8, False),
        ([20_000] * 8, [900] * 8, True),
        ([20_000] * 8, [1_100] * 8, False),
    ],
)
def test_damage_is_a_share_of_five_seconds_and_three_failures_at_least(
    answered: list[float],
    unknown: list[float],
    well: bool,
) -> None:
    assert holds(0.05, answered, unknown) is well


def test_two_failures_are_too_few_whatever_the_share() -> None:
    for above in (0.001, 0.05, 0.3, 0.99):
        assert holds(above, [2] * 1 + [0] * 7, [0] * 8) is True
        assert holds(above, [0] * 7 + [2], [0] * 7 + [2]) is True
    assert holds(0.001, [0] * 7 + [3], [0] * 7 + [3]) is False


def test_refusals_that_the_file_names_are_no_damage() -> None:
    assert holds(0.05, [10] * 8, [0] * 8, refused=400.0) is True
    assert holds(0.05, [10] * 8, [0] * 8, duplicate=400.0, sold_out=400.0, accepted=5.0) is True


def test_refusals_that_nobody_answered_are_damage() -> None:
    """As of a service that is dead: every one is `refused`, and not by it."""
    assert holds(0.05, [0] * 8, [0] * 8, unreached=60.0, refused=60.0) is False
    assert holds(0.05, [100] * 8, [0] * 8, unreached=6.0, refused=6.0) is False
    assert holds(0.05, [100] * 8, [0] * 8, unreached=4.0, refused=400.0) is True
    assert holds(0.05, [100] * 8, [3] * 8, unreached=3.0, refused=3.0) is False


def test_the_assumed_objective_has_data_as_long_as_there_is_traffic() -> None:
    objective = assumed_objective(filled(experiment()))
    assert objective is not None
    assert reading(parse(objective.expr), SeriesStore(60.0), NS) is None


def test_shipped_experiments_speak_of_failures_themselves_but_for_one() -> None:
    """So what they found before they find now; refusals, as of `bots`, were never damage."""
    assumed = set()
    for path in all_experiments():
        whole = load_experiment(str(path))
        forms = [whole, load_experiment(str(path), short=True)] if has_short(whole.document) else []
        for each in forms or [whole]:
            found = filled(each.experiment)
            if assumed_objective(found) is not None:
                assumed.add(found.name)
            elif found.failures is None:
                assert speaks_of_failures(found), found.name
    assert assumed == {"store-drift"}  # it pauses by refusing, which the system file names
