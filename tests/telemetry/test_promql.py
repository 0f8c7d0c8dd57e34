"""PromQL: literal tables of what is read, what is refused, and what comes out."""

import inspect
import itertools
import math
import time
import tracemalloc

import pytest

from gameday.core.clock import NS
from gameday.telemetry.promql import (
    PROMETHEUS_2,
    PROMETHEUS_3,
    EvaluationError,
    PromqlError,
    SeriesStore,
    Value,
    evaluate,
    label_set,
    labels,
    parse,
    reading,
)
from gameday.telemetry.promql.arithmetic import mean, variance
from gameday.telemetry.promql.instant_functions import ELEMENTWISE
from gameday.telemetry.promql.nodes import selectors

REFUSED = [
    ("rate(x", "unclosed"),
    ("rate(x)", "expected type matrix"),
    ("x[5m]", "is a range"),
    ("sum(x @ -3)", "a time is"),
    ("sum(x @ NaN)", "a time is"),
    ("x @ 1e300", "a time is"),
    ("x[5m:1s]", "is a range"),
    ("sum_over_time(time()[5m:1s])", "only allowed on vector"),
    ("sum_over_time(x[5m:NaN])", "a duration is"),
    ("sum_over_time(x[1y:1s])", "instants"),
    ("sum_over_time(sum_over_time((x > time())[2m:1s])[2m:1s])", "instants"),
    ('label_replace(x, "a", "$1", "b", "(")', "not understood"),
    ('label_replace(x, "", "$1", "b", "c")', "not a name"),
    ('label_join(x, "a", ",", "")', "not a name"),
    ('count_values("", x)', "not a name"),
    ('x{a="\\xff"}', "the character itself"),
    ("predict_linear(x[5m:] @ end(), 3)", "no value for predict_linear"),
    ("mad_over_time(x[5m])", "the function mad_over_time"),
    ("limitk(1, x)", "the aggregation limitk"),
    ("histogram_count(x)", "the function histogram_count"),
    ("x + fill(0) y", "fill values"),
    ('{a="1" or b="2"}', "`or` between label matchers"),
    ('"text"', "is a text"),
    ('x{a=~"b++"}', "bad repetition operator"),
    ('x{a=~"(?=b)"}', "illegal regex"),
    ('x{a=~"(a)\\\\1"}', "illegal regex"),
    ('x{a=~"(b{1000}){1000}"}', "illegal regex"),
    ("(" * 200 + "x" + ")" * 200, "operators and brackets"),
    ("x" + "+x" * 1000, "operators and brackets"),
    ("x" * 5000, "longer than"),
    ("", "not PromQL"),
    ("1 > 2", "BOOL"),
    ("x offset NaN", "a duration is"),
    ("x offset-NaN", "a duration is"),
    ("x offset  -Inf", "a duration is"),
    ("sum_over_time(x[0.0001:1s])", "a duration is"),
    ("rate(x[1e300])", "a duration is"),
    ("x # it's\noffset NaN # isn't", "a duration is"),
    ('x # "\n[NaN] # "', "a duration is"),
    ("x # `\n@ -3 # `", "a time is"),
    ("x # it's\n" + "+x" * 1000 + " # isn't", "operators and brackets"),
    ("rate(x[0])", "be longer than 0"),
    ("rate(x[0.000])", "be longer than 0"),
    ("max_over_time(x[1h:0])", "be longer than 0"),
    ("max_over_time(x[0:5m])", "be longer than 0"),
]


TAKEN = [
    "x offset-5m",
    "x @ 1609746000.123",
    "x @ +5 offset - 1.5",
    "kafka:offset:rate > 5 or a:offset > 1",
    'sum by (offset) (x{offset="a", le=~"[0-9]"})',
    "sum_over_time(x[ 5m : 10s ] @ end ( ))",
    'sum by ("a.b") (x * on ("c-d", e) group_left ("f g") y)',
    "rate(x[300]) # [offset] @ anything",
    'x{a="offset z [q] @ b"} + 1_0',
    "# the queue's length\nmax_over_time(q[5m:]) > 1_000 # it's too much",
    "x # it's 1_000 ways (of [counting\n",
    'x{a="#"} # "\n+ 1_000 # "',
]


@pytest.mark.parametrize("text", TAKEN)
def test_what_looks_odd_and_is_not_is_taken(text: str) -> None:
    read = parse(text).node.text  # as it is written for a real Prometheus
    assert parse(read).node.text == read


def counter(values: list[float], name: str = "x", **more: str) -> SeriesStore:
    store = SeriesStore()
    for t_s, value in enumerate(values):
        store.append(t_s * NS, [(labels(name, **more), value)], source="s")
    return store


def value(text: str, store: SeriesStore, t_s: float) -> Value:
    return evaluate(parse(text), store, int(t_s * NS))


@pytest.mark.parametrize(("text", "problem"), REFUSED, ids=[t[:20] for t, _ in REFUSED])
def test_what_is_not_evaluated_is_refused_by_name(text: str, problem: str) -> None:
    started = time.monotonic()
    with pytest.raises(PromqlError) as error:
        parse(text)
    assert problem in error.value.problem
    assert error.value.fragment or text == ""
    assert time.monotonic() - started < 1


def test_a_refusal_names_the_sub_expression() -> None:
    with pytest.raises(PromqlError) as error:
        parse("sum(rate(x[5m])) / sum(mad_over_time(y[5m])) > 1")
    assert error.value.fragment == "mad_over_time(y[5m])"


def test_a_query_knows_its_metrics_its_window_and_its_operands() -> None:
    query = parse("sum(rate(a_total[10s] offset 5s)) / sum(rate(b_total[1m])) > (2)")
    assert query.metric_names() == {"a_total", "b_total"}
    assert query.window_s == 60
    assert [side.text for side in query.operands()] == [
        "sum(rate(a_total[10s] offset 5s)) / sum(rate(b_total[1m]))",
        "2",
    ]
    assert query.is_condition
    assert parse("up").window_s == 300
    assert parse("up").operands()[0].text == "up"
    assert not parse("up == bool 1").is_condition
    assert parse("up == 1 and x > 2").is_condition


def test_rate_reaches_to_the_edges_of_its_window() -> None:
    store = counter([10, 12, 14, 16, 18, 20])
    assert value("rate(x[5s])", store, 5) == pytest.approx({(): 2.0})
    assert value("increase(x[5s])", store, 5) == pytest.approx({(): 10.0})


def test_a_counter_is_never_extrapolated_below_zero() -> None:
    store = counter([0, 10, 20])
    assert value("increase(x[10s])", store, 2) == pytest.approx({(): 20.0})


def test_a_counter_that_starts_again_goes_on_counting() -> None:
    assert value("increase(x[4s])", counter([5, 10, 1, 4, 9]), 4) == pytest.approx({(): 12.0})


def test_one_sample_has_no_rate() -> None:
    assert value("rate(x[5s])", counter([3]), 0) == {}


def test_the_older_edge_of_a_range_is_open_since_prometheus_3() -> None:
    store = counter([1, 2, 3, 4])
    query = parse("count_over_time(x[2s])")
    assert evaluate(query, store, 3 * NS) == {(): 2.0}
    assert evaluate(query, store, 3 * NS, PROMETHEUS_2) == {(): 3.0}


def test_a_series_that_its_source_no_longer_has_is_over_at_once() -> None:
    store = counter([1, 2])
    store.append(2 * NS, [], source="s")
    assert value("x", store, 1.5) == {labels("x"): 2.0}
    assert value("x", store, 2) == {}
    assert value("sum_over_time(x[10s])", store, 2) == {(): 3.0}
    assert value("absent(x{job='a'})", store, 2) == {(("job", "a"),): 1.0}


def test_a_sample_that_is_not_newer_is_refused_and_counted() -> None:
    store = counter([1, 2])
    assert store.append(NS, [(labels("x"), 9.0)]) == 1
    assert value("x", store, 1) == {labels("x"): 2.0}


def test_what_is_older_than_the_retention_is_forgotten() -> None:
    store = SeriesStore(retention_s=10)
    store.append(0, [(labels("gone"), 1.0)], source="a")
    for t_s in range(60):
        store.append(t_s * NS, [(labels("x"), float(t_s))], source="b")
    assert len(store) == 1
    assert value("gone", store, 59) == {}
    counted = value("scalar(count_over_time(x[1m]))", store, 59)
    assert isinstance(counted, float)
    assert 10 <= counted <= 13


def test_a_quantile_interpolates_within_its_bucket() -> None:
    store = SeriesStore()
    buckets = {"0.1": 50.0, "0.2": 90.0, "+Inf": 100.0}
    store.append(0, [(labels("h_bucket", le=le), n) for le, n in buckets.items()])
    assert value("histogram_quantile(0.7, h_bucket)", store, 0) == pytest.approx({(): 0.15})
    assert value("histogram_quantile(0.95, h_bucket)", store, 0) == {(): 0.2}
    assert value("histogram_quantile(2, h_bucket)", store, 0) == {(): math.inf}


def test_a_histogram_without_observations_has_no_quantile() -> None:
    store = SeriesStore()
    store.append(0, [(labels("h_bucket", le=le), 0.0) for le in ("0.1", "+Inf")])
    result = value("histogram_quantile(0.9, h_bucket)", store, 0)
    assert isinstance(result, dict)
    assert math.isnan(result[()])


def test_nothing_divided_by_nothing_is_not_above_a_limit() -> None:
    store = counter([0, 0, 0])
    assert value("rate(x[2s]) / rate(x[2s]) > 0.5", store, 2) == {}


@pytest.mark.parametrize("to", ["0", "Inf", "-Inf", "NaN"])
def test_rounding_to_what_is_no_step_is_no_number(to: str) -> None:
    """As in Prometheus, whose division by the inverse of infinity gives NaN too."""
    result = value(f"round(x, {to})", counter([3, 5]), 1)
    assert isinstance(result, dict)
    assert math.isnan(result[()])


@pytest.mark.parametrize("name", sorted(ELEMENTWISE))
def test_functions_of_any_numbers_have_a_value(name: str) -> None:
    arguments = len(inspect.signature(ELEMENTWISE[name]).parameters) if name != "abs" else 1
    for numbers in itertools.product(ODD, repeat=arguments):
        assert isinstance(ELEMENTWISE[name](*numbers), float | None)


ODD = (0.0, -0.0, 0.5, -3.0, 5e-324, 1.7e308, -1.7e308, math.inf, -math.inf, math.nan)


def test_a_match_that_is_many_to_many_has_no_value() -> None:
    store = SeriesStore()
    store.append(0, [(labels(n, a=a), 1.0) for n in "xy" for a in "12"])
    with pytest.raises(EvaluationError, match="must be unique"):
        value("x + on () y", store, 0)


def test_time_is_wall_time_where_the_store_knows_it() -> None:
    store = SeriesStore(wall_offset_ns=1000 * NS)
    store.append(0, [(labels("x"), 1.0)])
    assert value("time()", store, 5) == 1005.0
    assert value("timestamp(x)", store, 5) == {(): 1000.0}


READINGS = [
    ("x > 1", True),
    ("x > 5", False),
    ("missing > 1", None),
    ("x > missing", None),
    ("nan_value > 0", False),
    ("nan_value < 0", False),
    ("1 < x < 5", True),
    ("3 < x < 5", False),
    ("1 < missing < 5", None),
    ("x > bool 5", False),
    ("x > bool 1", True),
    ("x", True),
    ("zero", False),
    ("nan_value", False),
    ("missing", None),
    ("absent(missing)", True),
    ("absent(x)", False),
    ("1 > bool 2", False),
    ("x > 1 and zero == 0", True),
    ("x > 5 and missing > 1", False),
    ("x > 1 and missing > 1", None),
    ("x > 1 or missing > 1", True),
    ("x > 5 or missing > 1", None),
    ("x > 5 or zero == 1", False),
    ("x > 1 unless zero == 0", False),
    ("x > 1 unless zero == 1", True),
    ("x > 1 unless missing > 1", None),
    ("x > 1 unless missing", True),
    ("x > 1 unless x", False),
    ("sum(rate(missing[5s])) / sum(rate(x[5s])) > 1", None),
]


@pytest.mark.parametrize(("text", "expected"), READINGS, ids=[t for t, _ in READINGS])
def test_a_reading_tells_no_from_no_data(text: str, *, expected: bool | None) -> None:
    store = SeriesStore()
    for t_s in range(3):
        found = {"x": 2.0, "zero": 0.0, "nan_value": math.nan}
        store.append(t_s * NS, [(labels(name), v) for name, v in found.items()])
    assert reading(parse(text), store, 2 * NS) is expected


def test_twenty_expressions_over_five_hundred_series_take_well_under_a_tick() -> None:
    store = SeriesStore()
    bounds = ["0.1", "0.5", "1", "5", "+Inf"]
    for t_s in range(61):
        found = [
            (labels("h_bucket", le=le, path=str(p)), float(t_s * p))
            for le in bounds
            for p in range(100)
        ]
        store.append(t_s * NS, found, source="s")
    texts = [
        f"histogram_quantile(0.{k}, sum by (le) (rate(h_bucket[{k}s]))) > 1" for k in range(10, 30)
    ]
    queries = [parse(text) for text in texts]
    best = math.inf
    for _ in range(3):
        started = time.process_time()
        for query in queries:
            evaluate(query, store, 60 * NS)
        best = min(best, time.process_time() - started)
    assert best < 0.4


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        ("b", "b", True),
        ("b", "ab", False),
        ("(?i)b", "B", True),
        ("[[:alpha:]]+", "abc", True),
        ("a.c", "a\nc", True),
        ("|b", "", True),
        ("\\\\d+", "٣", False),
        (".", "\ud800", True),
    ],
)
def test_a_regular_expression_is_re2s_and_anchored(
    pattern: str, value: str, *, matches: bool
) -> None:
    (_, matcher) = selectors(parse(f'x{{a=~"{pattern}"}}').node)[0].matchers
    assert matcher.accepts((("a", value),)) is matches


def test_a_regular_expression_takes_time_in_proportion_to_the_label() -> None:
    """With Python's `re` this takes until the end of the world."""
    (_, matcher) = selectors(parse('x{a=~"(a*)*(a|aa)+(.*x)*y"}').node)[0].matchers
    assert not matcher.accepts((("a", "a" * 100_000),))


def test_a_subquery_asks_at_multiples_of_its_step_in_wall_time() -> None:
    store = SeriesStore(wall_offset_ns=1_000_000_000 * NS + NS // 2)
    for t_s in range(11):
        store.append(t_s * NS, [(labels("x"), float(t_s))])
    assert value("count_over_time(x[6s:2s])", store, 10) == {(): 3.0}
    assert value("max_over_time(timestamp(x)[6s:2s])", store, 10) == {(): 1_000_000_009.5}
    assert value("sum_over_time(vector(1)[4s:])", store, 10) == {(): 4.0}  # a second, as ours is


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("count_over_time((count(x) or vector(7))[3d:])", 259_200.0),
        ("sum_over_time((count(x) or vector(7))[1h:])", 7 * 3595.0 + 5),
        ("sum_over_time((absent(x) * 2 or count(x))[100s:])", 2 * 95.0 + 5),
        ("count_over_time(count(x)[3d:])", 5.0),
        ("sum_over_time(max_over_time((sum(x) or vector(9))[50s:])[50s:])", 9 * 50.0),
        ("count_over_time((count(x) or vector(time()))[100s:])", 100.0),
        ("count_over_time((count(x offset -3s) or vector(7) > 7)[100s:])", 8.0),
    ],
)
def test_instants_before_all_samples_count_in_a_subquery(text: str, expected: float) -> None:
    """At each of them an expression is what it is without samples; so days of them are cheap."""
    store = SeriesStore(retention_s=1e6)
    for t_s in range(6, 11):
        store.append(t_s * NS, [(labels("x"), float(t_s - 2))])
    store.append(10 * NS, [(labels("y"), 1.0)])
    found = value(text, store, 10)
    assert isinstance(found, dict)
    assert list(found.values()) == [expected]


def test_a_subquery_is_not_evaluated_twice_at_one_instant() -> None:
    """What it was at an instant is kept, until a sample of what it reads is not later."""
    store = SeriesStore()
    for t_s in range(60):
        store.append(t_s * NS, [(labels("x"), float(t_s))])
    asked = parse("max_over_time(x[50s:1s])")
    assert evaluate(asked, store, 59 * NS) == {(): 59.0}
    inside = store.past(("x[50s:1s]", PROMETHEUS_3), asked.node, 59 * NS)
    assert len(inside) == 50
    inside[40 * NS] = {labels("x"): 100.0}
    assert evaluate(asked, store, 59 * NS) == {(): 100.0}
    store.append(60 * NS, [(labels("x"), 60.0)])
    assert evaluate(asked, store, 60 * NS) == {(): 100.0}
    store.append(40 * NS, [(labels("y"), 1.0)])
    assert evaluate(asked, store, 60 * NS) == {(): 100.0}
    store.append(40 * NS, [(labels("x", a="b"), 1.0)], source="late")
    assert evaluate(asked, store, 60 * NS) == {(("a", "b"),): 1.0, (): 60.0}
    inside[50 * NS] = {labels("x"): 100.0}
    store.append(50 * NS, [], source="late")
    assert evaluate(asked, store, 60 * NS) == {(("a", "b"),): 1.0, (): 60.0}


def test_the_same_sample_once_more_is_no_other() -> None:
    store = counter([1, 2])
    same = [(labels("x"), 2.0), (labels("y"), math.nan)]
    assert [store.append(NS, same) for _ in range(2)] == [0, 0]
    assert store.append(0, [(labels("x"), 1.0)]) == 1


def test_what_looks_ahead_or_at_a_fixed_time_is_asked_again() -> None:
    store = SeriesStore()
    for t_s, later in ((0, 1.0), (5, 2.0)):
        store.append(t_s * NS, [(labels("x"), later)])
        assert value("sum_over_time((x offset -5s)[1s:1s])", store, 0) == {(): later}
        assert value("sum_over_time((x @ 5)[1s:1s])", store, 0) == {(): later}


def test_a_fixed_time_that_is_forgotten_has_no_value() -> None:
    store = SeriesStore(retention_s=10)
    for t_s in range(60):
        store.append(t_s * NS, [(labels("x"), 1.0)])
    with pytest.raises(EvaluationError, match="no longer kept"):
        value("sum_over_time(x[1s] @ 5)", store, 59)
    assert value("sum_over_time(x[1s] @ 58)", store, 59) == {(): 1.0}


def test_subqueries_come_to_so_many_values_and_no_more() -> None:
    store = SeriesStore()
    store.append(0, [(labels("x", i=str(i)), 1.0) for i in range(1000)])
    with pytest.raises(EvaluationError, match="comes to more than 1000000 values"):
        value("sum_over_time((x @ 0)[1h:1s])", store, 0)


@pytest.mark.parametrize(
    "text",
    [
        "max_over_time(count(x @ 0)[1h:1s])",
        "max_over_time(max(stddev_over_time(x[1h] @ end()))[1h:1s])",
        "max_over_time(count(timestamp(x @ 0))[1h:1s])",
    ],
)
def test_what_a_subquery_reads_counts_and_not_only_its_results(text: str) -> None:
    store = SeriesStore()
    for t_s in range(3):
        store.append(t_s * NS, [(labels("x", i=str(i)), 1.0) for i in range(500)])
    with pytest.raises(EvaluationError, match="comes to more than 1000000 values"):
        value(text, store, 2)


DATES = [
    ("year", 1500000000.0, 2017.0),
    ("month", -1.0, 12.0),
    ("day_of_month", 951782400.0, 29.0),
    ("day_of_week", 0.0, 4.0),
    ("day_of_year", 1735603200.0, 366.0),
    ("days_in_month", 4105123200.0, 28.0),
    ("hour", -1.5, 23.0),
    ("minute", 3599.9, 59.0),
    ("year", 1e15, 31690708.0),
    ("year", -1e15, -31686769.0),
    ("year", math.nan, 292277026596.0),
    ("year", 1e300, 292277026596.0),
]


@pytest.mark.parametrize(("part", "at", "expected"), DATES)
def test_dates_go_on_beyond_those_of_python(part: str, at: float, expected: float) -> None:
    """The years far away are those that Go's calendar gives."""
    store = SeriesStore()
    store.append(0, [(labels("x"), at)])
    assert value(f"{part}(x)", store, 0) == {(): expected}


RELABELLED = [
    ('label_replace(x, "a", "$2-$1", "b", "(.)(.*)")', {"a": "c-b", "b": "bc"}),
    ('label_replace(x, "a", "${n}$$$9$", "b", "(?P<n>.*)")', {"a": "bc$$", "b": "bc"}),
    ('label_replace(x, "a", "$1x", "b", "(.*)")', {"b": "bc"}),
    ('label_replace(x, "a", "y", "b", "b")', {"a": "old", "b": "bc"}),
    ('label_replace(x, "b", "", "a", "old")', {"a": "old"}),
    ('label_replace(x, "__name__", "y", "none", "")', {"__name__": "y", "a": "old", "b": "bc"}),
    ('label_join(x, "a", "-", "b", "none", "a")', {"a": "bc--old", "b": "bc"}),
    ('label_join(x, "b", "-")', {"a": "old"}),
    ('label_join(x, "b", "-", "a")', {"a": "old", "b": "old"}),
    ('label_replace(x, "a", "<$01$1${00}>", "b", "(.*)")', {"a": "<bc>", "b": "bc"}),
    ('label_replace(x, "a", "$0$99999999999", "b", "(.*)")', {"a": "bc", "b": "bc"}),
]


@pytest.mark.parametrize(("text", "expected"), RELABELLED, ids=[t for t, _ in RELABELLED])
def test_labels_are_made_from_others(text: str, expected: dict[str, str]) -> None:
    store = SeriesStore()
    store.append(0, [(labels("x", a="old", b="bc"), 1.0)])
    assert value(text, store, 0) == {label_set({"__name__": "x", **expected}): 1.0}


def test_relabelled_series_that_are_equal_are_an_error() -> None:
    store = SeriesStore()
    store.append(0, [(labels("x", a=a), 1.0) for a in "12"])
    with pytest.raises(EvaluationError, match="two results"):
        value('label_replace(x, "a", "", "", "")', store, 0)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f'label_replace(x, "b", "{"$1" * 1900}", "a", "(.*)")', "more than 65536 characters"),
        (f'label_join(x, "b", "", {", ".join(["`a`"] * 600)})', "more than 65536 characters"),
        ('label_replace(x, "b", "$1", "a", "(((a|b)?){500})*")', "comes to more than"),
        ('label_replace(label_join(y, "b", "-", "a", "i"), "i", "", "", "")', "comes to more than"),
    ],
)
def test_what_relabelling_costs_is_bounded(text: str, problem: str) -> None:
    store = SeriesStore()
    store.append(0, [(labels("x", a="ab" * 30_000), 1.0)])
    store.append(0, [(labels("y", a="ab" * 30_000, i=str(i)), 1.0) for i in range(300)])
    tracemalloc.start()
    try:
        with pytest.raises(EvaluationError, match=problem):
            value(text, store, 0)
        assert tracemalloc.get_traced_memory()[1] < 40e6
    finally:
        tracemalloc.stop()


def test_an_average_of_large_values_does_not_overflow() -> None:
    assert mean([1.7e308, 1.7e308]) == 1.7e308
    assert mean([1e300, 1.0, -1e300]) == pytest.approx(1 / 3)
    assert variance([1.1] * 7) == 0.0
