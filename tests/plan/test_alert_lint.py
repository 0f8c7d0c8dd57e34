"""The traps in alert rules are found, and the shipped rules fall into none."""

from pathlib import Path

import pytest

from gameday.plan.alert_lint import lint, slow_rules
from gameday.spec.inputs import load_inputs
from gameday.spec.shipped import all_experiments
from gameday.telemetry.alerts.replay import LabelledScrape, labelled
from gameday.telemetry.samples import Scrape

ROOT = Path(__file__).parents[2]
SAMPLES = [
    Scrape(0, [({"__name__": "issuance_requests_total", "outcome": "issued"}, 1.0)]),
    Scrape(10**9, [({"__name__": "seconds_bucket", "le": "0.5"}, 1.0)]),
]
EXPERIMENT = """\
name: trap
seed: 1
campaign: {coupon: C, stock: 5000, users: 100000}
traffic:
  drop: {executor: constant-arrival-rate, rate: 20/s, duration: 60s}
method:
  - {fault: network.latency, target: redis, latency: 300ms, at: 15s, duration: 20s}
expect:
  alerts: [{alert: Trap, fires_within: 10s}]
rules: [rules.yml]
"""


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def traps(folder: Path, expr: str, more: str = "", scrape_s: float = 1.0, **how: object) -> str:
    (folder / "trap.yaml").write_text(EXPERIMENT)
    rule = f"    - alert: Trap\n      expr: |-\n        {expr}\n{more}"
    (folder / "rules.yml").write_text(f"groups:\n- name: g\n  rules:\n{rule}")
    inputs = load_inputs(str(folder / "trap.yaml"))
    lines = labelled(SAMPLES if how.get("run") else [])
    scrapes = [each for each in lines if isinstance(each, LabelledScrape)]
    found = list(lint(inputs, scrapes, scrape_s))
    assert all(each.place.line == 4 for each in found)
    return "\n".join(each.text for each in found)


@pytest.mark.parametrize(
    "expr",
    [
        'rate(http_requests_total{status=~"4..|5.."}[10s]) > 1',
        'rate(http_requests_total{code!="200"}[10s]) > 1',
        'rate(issuance_requests_total{outcome!="issued"}[10s]) > 1',
        'rate(k6_http_reqs_total{outcome=~"sold_out|unknown"}[10s]) > 1',
        "k6_http_req_failed_rate > 0.05",
    ],
)
def test_sold_out_answers_counted_as_failures_are_named(tmp_path: Path, expr: str) -> None:
    assert "as failed" in traps(tmp_path, expr) or "counts each 4xx" in traps(tmp_path, expr)


@pytest.mark.parametrize(
    "expr",
    [
        'rate(http_requests_total{status=~"5.."}[10s]) > 1',
        'rate(http_requests_total{status=~"2..|4.."}[10s]) > 1',
        'rate(issuance_requests_total{outcome="sold_out"}[10s]) > 1',
        'rate(issuance_requests_total{outcome=~"unavailable|unknown"}[10s]) > 1',
        "histogram_quantile(0.95, sum by (le) (rate(x_bucket[10s]))) > 0.2",
        "absent(up)",
    ],
)
def test_what_counts_real_failures_is_left_alone(tmp_path: Path, expr: str) -> None:
    assert traps(tmp_path, expr) == ""


def test_averaged_percentiles_are_named(tmp_path: Path) -> None:
    by_quantile = traps(tmp_path, 'avg(request_seconds{quantile="0.95"}) > 1')
    of_function = traps(
        tmp_path, "avg(histogram_quantile(0.9, sum by (le, pod) (rate(x_bucket[9s])))) > 1"
    )
    assert "of percentiles is no percentile" in by_quantile
    assert "of percentiles is no percentile" in of_function


def test_a_window_shorter_than_two_scrapes_is_named(tmp_path: Path) -> None:
    assert "two samples" in traps(tmp_path, "rate(x_total[1s]) > 1")
    assert "two samples" in traps(tmp_path, "rate(x_total[20s]) > 1", scrape_s=15.0)
    assert "two samples" not in traps(tmp_path, "rate(x_total[30s]) > 1", scrape_s=15.0)
    assert traps(tmp_path, "max_over_time(x[1s]) > 1") == ""


def test_a_for_as_long_as_the_fault_is_named(tmp_path: Path) -> None:
    assert "it cannot fire" in traps(tmp_path, "x > 1", "      for: 20s\n")
    assert "cannot fire" not in traps(tmp_path, "x > 1", "      for: 19s\n")


def test_a_rule_that_may_fire_after_the_fault_is_named(tmp_path: Path) -> None:
    assert traps(tmp_path, "rate(x_total[10s]) > 1", "      for: 9s\n") == ""
    (slow,) = slow_rules(load_inputs(str(tmp_path / "trap.yaml")))
    assert "it fires after 21s at most" in slow.text
    assert traps(tmp_path, "rate(x_total[10s]) > 1", "      for: 8s\n") == ""
    assert list(slow_rules(load_inputs(str(tmp_path / "trap.yaml")))) == []


def test_an_alert_about_the_generator_is_no_alert_about_the_service(tmp_path: Path) -> None:
    assert "load generator" in traps(tmp_path, "rate(k6_dropped_iterations_total[5s]) > 0")


def test_an_alert_that_the_system_file_says_is_about_the_generator_is_no_trap() -> None:
    assert (
        load_inputs("few-users").system.system.alert_tells["LoadGeneratorDropping"] == "generator"
    )
    assert list(lint(load_inputs("few-users"))) == []


def test_a_metric_that_is_in_no_catalogue_is_named(tmp_path: Path) -> None:
    """The percentile that nobody exports, and a metric of the service that was renamed."""
    percentile = traps(tmp_path, "k6_http_req_waiting_p95 > 0.5")
    assert "k6_http_req_waiting_p95: no such metric, so it never fires" in percentile
    renamed = traps(tmp_path, "max(issuance_paused_second) > 3")
    assert "did you mean 'issuance_paused_seconds'?" in renamed
    assert traps(tmp_path, "node_load1 > 5") == "", "an exporter's stands in no catalogue"
    assert traps(tmp_path, "absent(issuance_gone)") == ""


def test_a_series_that_the_run_did_not_have_is_named(tmp_path: Path) -> None:
    gone = traps(tmp_path, "renamed_total > 1", run=True)
    assert "no such metric" in gone
    assert "no series that matches" in traps(tmp_path, 'seconds_bucket{le="0.2"} > 1', run=True)
    assert traps(tmp_path, 'seconds_bucket{le="0.5"} > 1', run=True) == ""
    assert traps(tmp_path, "absent(renamed_total)", run=True) == ""


@pytest.mark.parametrize("path", all_experiments(), ids=lambda path: path.stem)
def test_no_shipped_rule_is_a_trap(path: Path) -> None:
    assert list(lint(load_inputs(str(path)))) == []
