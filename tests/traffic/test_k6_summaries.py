"""k6's summaries: their shapes, their words, and what differs on purpose."""

import pytest

from gameday.traffic import thresholds
from gameday.traffic.k6.summary_json import flat, handed
from gameday.traffic.k6.summary_text import Marks, data_text, summary_lines, time_text
from gameday.traffic.thresholds import ThresholdOutcome

TREND = {"avg": 2.0, "min": 1.0, "med": 2.0, "max": 4.0, "p(90)": 3.0, "p(95)": 3.5, "p(99)": 4.0}
FIGURES: dict[str, dict[str, float]] = {
    "http_req_duration": TREND,
    "http_req_duration_intended": TREND | {"censored": 3, "known_to_p": 92.0, "count": 50},
    "http_req_duration{scenario:drop}": TREND,
    "http_req_failed": {"rate": 0.25, "passes": 5, "fails": 15},
    "http_reqs": {"count": 20, "rate": 10.0},
    "vus": {"value": 1, "min": 0, "max": 3},
    "data_sent": {"count": 1_500_000, "rate": 750_000.0},
}


def test_a_rate_is_a_value_in_the_flat_shape_and_a_rate_in_the_other() -> None:
    assert flat(FIGURES, [])["metrics"]["http_req_failed"] == {
        "passes": 5,
        "fails": 15,
        "value": 0.25,
    }
    described = handed(FIGURES, [], length_ms=1.0, terminals=(True, True))
    assert described["metrics"]["http_req_failed"]["values"]["rate"] == 0.25


def test_a_trend_has_the_columns_that_k6_has_and_no_more() -> None:
    columns = {"avg", "min", "med", "max", "p(90)", "p(95)"}
    assert set(flat(FIGURES, [])["metrics"]["http_req_duration"]) == columns


@pytest.mark.parametrize(("kept", "crossed"), [(True, False), (False, True), (None, True)])
def test_true_means_crossed_in_the_flat_shape_and_no_data_is_no_pass(
    *, kept: bool | None, crossed: bool
) -> None:
    held = [ThresholdOutcome("http_req_duration", thresholds.parse("p(95)<3"), kept)]
    told = flat(FIGURES, held)["metrics"]["http_req_duration"]["thresholds"]
    assert told == {"p(95)<3": crossed}
    described = handed(FIGURES, held, length_ms=1.0, terminals=(True, True))["metrics"]
    assert described["http_req_duration"]["thresholds"] == {"p(95)<3": {"ok": not crossed}}


def test_a_threshold_without_its_metric_is_told_all_the_same() -> None:
    held = [ThresholdOutcome("http_req_waiting", thresholds.parse("p(95)<3"), None)]
    assert flat({}, held)["metrics"] == {"http_req_waiting": {"thresholds": {"p(95)<3": True}}}
    described = handed({}, held, length_ms=1.0, terminals=(False, False))["metrics"]
    assert described["http_req_waiting"]["type"] == "trend"


def test_types_and_what_a_metric_contains_are_k6s_words() -> None:
    described = handed(FIGURES, [], length_ms=2000.0, terminals=(False, True))
    words = {name: (m["type"], m["contains"]) for name, m in described["metrics"].items()}
    assert words["http_req_duration"] == ("trend", "time")
    assert words["data_sent"] == ("counter", "data")
    assert words["vus"] == ("gauge", "default")
    assert described["state"] == {
        "isStdOutTTY": False,
        "isStdErrTTY": True,
        "testRunDurationMs": 2000.0,
    }


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0.0, "0s"),
        (0.2154, "215.4µs"),
        (4.81, "4.81ms"),
        (1500.0, "1.5s"),
        (61_250.0, "1m1.25s"),
    ],
)
def test_times_have_the_unit_that_fits(ms: float, text: str) -> None:
    assert time_text(ms, Marks()) == text


@pytest.mark.parametrize(
    ("count", "text"), [(12, "12 B"), (1_530, "1.53 kB"), (2e6, "2 MB"), (3.1e9, "3.1 GB")]
)
def test_data_counts_in_powers_of_ten(count: float, text: str) -> None:
    assert data_text(count) == text


def lines(encoding: str) -> str:
    told = [
        ThresholdOutcome(
            "http_req_duration", thresholds.parse("p(95)<3"), kept=False, figures=TREND
        ),
        ThresholdOutcome(
            "http_req_failed",
            thresholds.parse("rate<0.5"),
            kept=True,
            figures=FIGURES["http_req_failed"],
        ),
        ThresholdOutcome("http_req_waiting", thresholds.parse("p(95)<3"), None, None, "no_sample"),
    ]
    return "\n".join(summary_lines(FIGURES, told, Marks.for_encoding(encoding)))


def test_the_summary_has_a_line_a_metric_and_a_mark_a_threshold() -> None:
    text = lines("utf-8")
    assert "✗ 'p(95)<3' p(95)=3.5ms" in text
    assert "✓ 'rate<0.5' rate=25.00%" in text
    assert "? 'p(95)<3' (no sample)" in text
    assert "25.00% 5 out of 20" in text
    assert "{ scenario:drop }" in text


def test_a_figure_among_open_requests_is_the_least_it_can_be() -> None:
    line = next(one for one in lines("utf-8").splitlines() if "duration_intended" in one)
    assert "p(90)=3ms" in line
    assert "p(95)=≥3.5ms" in line
    assert "max=≥4ms" in line


def test_a_terminal_without_signs_gets_letters() -> None:
    text = lines("ascii")
    text.encode("ascii")
    assert "x 'p(95)<3'" in text
    assert "+ 'rate<0.5'" in text
    assert "p(95)=>=3.5ms" in text
