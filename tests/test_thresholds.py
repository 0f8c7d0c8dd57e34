"""k6's grammar for thresholds, failing closed."""

import pytest

from gameday.errors import UsageError
from gameday.thresholds import check_metric, evaluate, parse, parse_key

FIGURES = {"avg": 12.0, "p(95)": 200.0, "rate": 0.02, "count": 10, "value": 3.0}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("p(95)<200", False),
        ("p(95)<=200", True),
        (" p( 95.0 ) <= 2e2 ", True),
        ("avg>11.5", True),
        ("rate==0.02", True),
        ("rate===0.02", True),
        ("count!=10", False),
        ("count>=10", True),
        ("value > -1", True),
    ],
)
def test_a_threshold_compares_as_k6_does(text: str, *, holds: bool) -> None:
    assert evaluate(parse(text), FIGURES) is holds


def test_no_samples_are_unknown_never_passed() -> None:
    assert evaluate(parse("p(95)<200"), None) is None
    assert evaluate(parse("p(99.9)<200"), FIGURES) is None


@pytest.mark.parametrize(
    "text", ["p95<200", "p(101)<2", "p<3", "avg 3", "avg<", "med=3", "avg<nan"]
)
def test_what_is_no_threshold_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert caught.value.help


def test_a_key_names_a_metric_and_tags() -> None:
    asked = parse_key("http_req_duration{scenario:drop, outcome:'issued'}")
    assert asked.metric == "http_req_duration"
    assert asked.tags == {"scenario": "drop", "outcome": "issued"}
    assert parse_key("http_reqs").tags == {}


@pytest.mark.parametrize(
    ("key", "expression", "cure"),
    [
        ("http_req_duratoin", "p(95)<200", "http_req_duration"),
        ("http_req_duration", "rate<0.1", "p(N)"),
        ("http_req_failed", "p(95)<1", "rate"),
        ("http_reqs", "avg>1", "count"),
        ("http_reqs{senario:x}", "count>1", "scenario"),
        ("http_reqs{scenario}", "count>1", "metric{tag:value}"),
        ("http_reqs{scenario:x", "count>1", "metric{tag:value}"),
        ("vus{outcome:issued}", "value<1", "tags"),
    ],
)
def test_a_wrong_metric_or_aggregation_is_an_error_with_a_cure(
    key: str, expression: str, cure: str
) -> None:
    with pytest.raises(UsageError) as caught:
        check_metric(key, [expression])
    assert cure in caught.value.help


def test_every_kind_takes_its_own_aggregations() -> None:
    check_metric("http_req_duration{scenario:drop}", ["p(99.9)<2000", "med<100", "max<1"])
    check_metric("http_req_failed", ["rate<0.02"])
    check_metric("dropped_iterations", ["count<1", "rate<1"])
    check_metric("vus_max", ["value<100"])
