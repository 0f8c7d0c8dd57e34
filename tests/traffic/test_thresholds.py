"""k6's grammar for thresholds, failing closed."""

import pytest

from gameday.core.errors import UsageError
from gameday.traffic.thresholds import check_metric, evaluate, parse, parse_key

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


# Whether k6 takes an expression: aggregation, comparison, number, blanks where one likes.
CORPUS = {
    True: """
        avg<1|avg<=1|avg>1|avg>=1|avg==1|avg===1|avg!=1|min<1|max<1|med<1|count>=1|rate<0.01|value<1
        p(95)<200|p(0)<1|p(100)<1|p(99.9)<1|p(99.99)<1|p(.5)<1|p(95.)<1|p(9.5e1)<1|p(95) < 200
         p(95)<200 |avg  <  1|avg< 1|avg <1|avg<-1|avg<+1|avg<1.5|avg<.5|avg<1.|avg<1e3|avg<1E-3
        rate==0|rate===1|count!=0|value>=0.0""",
    False: """
        |avg|<1|avg 1|avg<|avg=1|avg=<1|avg=>1|avg<>1|avg!1|avg!==1|avg<<1|avg<1<2|avg<1 avg<2
        p95<200|p(95<200|p95)<200|p()<1|p(a)<1|p(101)<1|p(-1)<1|p(95)(95)<1|p(95)200|(95)<200
        P(95)<1|AVG<1|Rate<1|mean<1|median<1|sum<1|last<1|stddev<1|avg(95)<1|foo<1|avg<1ms|avg<1s
        avg<1%|avg<1,5|avg<1 000|avg<x|avg<--1|avg<1e|avg<rate|1<avg|avg<nan|avg+min<1|!avg<1
        avg < 1 ms|avg<"1"|avg<1;|avg<1 and max<2|p(95),p(99)<1|p(1e3)<1|p<3""",
}


def corpus(*, valid: bool) -> list[str]:
    return [text for line in CORPUS[valid].strip().splitlines() for text in line.split("|")]


@pytest.mark.parametrize("text", corpus(valid=True))
def test_k6s_expressions_are_read(text: str) -> None:
    threshold = parse(text)
    assert threshold.op in text
    assert threshold.bound == float(text.rpartition(threshold.op)[2])


@pytest.mark.parametrize("text", corpus(valid=False))
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
        ("http_reqs{status:99}", "count<1", "100 to 599"),
        ("http_reqs{expected_response:yes}", "count<1", "true or false"),
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
    for phase in ("blocked", "connecting", "tls_handshaking", "sending", "waiting", "receiving"):
        check_metric(f"http_req_{phase}{{expected_response:true}}", ["avg<1", "p(0)>=0"])
    check_metric("iteration_duration{method:POST,name:/issue,window:after-x}", ["max<1"])
    check_metric("http_reqs{status:0}", ["count==0"])


AGGREGATIONS = ["count", "rate", "value", "avg", "min", "max", "med", "p(95)"]
KINDS = {
    "http_reqs": ["count", "rate"],
    "http_req_failed": ["rate"],
    "http_req_duration": ["avg", "min", "max", "med", "p(95)"],
    "vus": ["value"],
}


@pytest.mark.parametrize("metric", KINDS)
def test_no_kind_takes_the_aggregations_of_another(metric: str) -> None:
    for aggregation in AGGREGATIONS:
        if aggregation in KINDS[metric]:
            check_metric(metric, [f"{aggregation}<1"])
        else:
            with pytest.raises(UsageError, match="has no"):
                check_metric(metric, [f"{aggregation}<1"])
