"""What is said about requests: the books, the live series, the summary, the generator's status."""

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.traffic.history import RECORD, History, HistoryHeader, Outcome, Reason
from gameday.traffic.metrics import (
    BUCKETS_S,
    About,
    AccountingError,
    Fold,
    Starts,
    complete,
    generator,
    measure,
    percentiles,
    summary,
)
from gameday.traffic.metrics.accounting import Columns
from gameday.traffic.metrics.concurrency import most_open
from gameday.traffic.schedule.scenario_json import from_json
from gameday.traffic.schedule.users import user
from gameday.traffic.thresholds import evaluate, parse
from tests.support.due_times import due_times

T0 = 5_000_000_000
MS = 1_000_000
NS = 1_000_000_000
SPEC = {"executor": "constant-arrival-rate", "rate": "100/s", "duration": "20s", "startTime": "0s"}
COUNT = 2000


def header(**more: Any) -> HistoryHeader:
    own = {"scenario": "drop", "worker": 0, "workers": 1, "seed": 7, "users": 1000}
    return HistoryHeader.from_json(own | {"run": "r", "spec": SPEC, "t0_ns": T0} | more)


def sent(count: int = COUNT, *, lag_ms: float = 0.1, took_ms: float = 20.0) -> Any:
    """`count` records that were all issued, in order."""
    records = np.zeros(count, dtype=RECORD)
    records["k"] = np.arange(count)
    records["intended_ns"] = T0 + due_times(from_json(SPEC))[:count]
    records["sent_ns"] = records["intended_ns"] + round(lag_ms * MS)
    records["first_byte_ns"] = records["sent_ns"] + round(took_ms * MS * 0.75)
    records["ended_ns"] = records["sent_ns"] + round(took_ms * MS)
    records["status"] = 200
    records["remaining"] = -1
    return records


def drop(records: Any, at: Any, reason: Reason) -> None:
    records["outcome"][at] = Outcome.DROPPED
    records["reason"][at] = reason
    records["sent_ns"][at] = 0
    records["first_byte_ns"][at] = 0
    records["ended_ns"][at] = records["intended_ns"][at]


def refuse(records: Any, at: Any) -> None:
    records["outcome"][at] = Outcome.REFUSED
    records["reason"][at] = Reason.CONNECT_REFUSED
    records["status"][at] = 0
    records["sent_ns"][at] = 0
    records["first_byte_ns"][at] = 0


def history(records: Any, dispatched: int | None = None, **more: Any) -> History:
    return History(header(**more), len(records) if dispatched is None else dispatched, records)


def series(fold: Fold) -> dict[str, float]:
    found = {}
    for labels, value in fold.series():
        rest = ",".join(f"{k}={v}" for k, v in labels.items() if k not in {"__name__", "scenario"})
        assert labels["scenario"] == "drop"
        found[f"{labels['__name__']}{{{rest}}}"] = value
    return found


def test_every_series_is_there_from_the_start_at_zero() -> None:
    before = series(Fold("drop"))
    assert set(before.values()) == {0.0}
    fold = Fold("drop")
    fold.add(sent(), COUNT, T0)
    assert set(series(fold)) == set(before)
    for outcome in ("issued", "duplicate", "sold_out", "refused", "accepted", "unknown"):
        assert f"k6_http_reqs_total{{outcome={outcome}}}" in before
    assert "k6_http_reqs_unreached_total{}" in before
    assert "k6_dropped_iterations_total{reason=system-saturated}" in before
    assert {0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5, 1.0} < set(BUCKETS_S)
    assert "k6_http_req_duration_seconds_bucket{le=0.2}" in before
    assert "k6_http_req_service_seconds_bucket{le=+Inf}" in before


def test_folding_piece_by_piece_equals_folding_at_once() -> None:
    records = sent(lag_ms=3.0, took_ms=200.0)
    whole, pieces = Fold("drop"), Fold("drop")
    whole.add(records, COUNT, T0)
    for begin in range(0, COUNT, 300):
        pieces.add(records[begin : begin + 300], COUNT, T0)
    late = series(pieces) | {"k6_vus_max{}": 0}
    assert late == pytest.approx(series(whole) | {"k6_vus_max{}": 0})
    assert late["k6_http_req_service_seconds_bucket{le=0.2}"] == COUNT  # on the edge: below it
    assert late["k6_http_req_duration_seconds_bucket{le=0.2}"] == 0  # 3 ms later
    assert late["k6_http_req_duration_seconds_sum{}"] == pytest.approx(COUNT * 0.203)


def test_refused_connections_have_no_latency_and_dropped_starts_are_no_requests() -> None:
    records = sent()
    refuse(records, slice(0, 100))
    drop(records, slice(100, 150), Reason.SYSTEM_SATURATED)
    fold = Fold("drop")
    fold.add(records, COUNT, T0)
    found = series(fold)
    assert found["k6_http_reqs_total{outcome=refused}"] == 100
    assert found["k6_dropped_iterations_total{reason=system-saturated}"] == 50
    assert found["k6_http_req_duration_seconds_count{}"] == COUNT - 150
    assert sum(fold.by_outcome().values()) == COUNT - 50


def test_refusals_that_nobody_answered_are_counted_by_themselves() -> None:
    records = sent()
    refuse(records, slice(0, 30))
    for at, reason in ((30, Reason.CONNECT_FAILED), (40, Reason.TIMEOUT)):
        refuse(records, slice(at, at + 10))
        records["reason"][at : at + 10] = reason
    records["outcome"][50:70] = Outcome.REFUSED  # by an answer, as a limit does
    records["outcome"][70:90] = Outcome.UNKNOWN
    records["reason"][70:90] = Reason.TIMEOUT
    fold = Fold("drop")
    fold.add(records, COUNT, T0)
    found = series(fold)
    assert found["k6_http_reqs_unreached_total{}"] == 50
    assert found["k6_http_reqs_total{outcome=refused}"] == 70


def test_open_requests_are_those_dispatched_without_a_record() -> None:
    fold = Fold("drop")
    fold.add(sent(70), 100, T0, worker=0, workers=2)
    fold.add(sent(10), 60, T0, worker=1, workers=2)
    assert fold.open == 0  # 50 and 30 dispatched, fewer than the records of this crooked example
    fold = Fold("drop")
    fold.add(sent(20), 100, T0, worker=0, workers=2)
    fold.add(sent(10), 60, T0, worker=1, workers=2)
    assert fold.open == 50
    assert series(fold)["k6_vus{}"] == 50


def test_a_killed_workers_requests_are_unknown_and_known_by_user() -> None:
    found = complete(history(sent(100)[10:], 120))
    assert len(found) == 120
    made = found[found["reason"] == Reason.INTERRUPTED]
    assert made["k"].tolist() == [*range(10), *range(100, 120)]
    assert (made["outcome"] == Outcome.UNKNOWN).all()
    assert made["user"].tolist() == [user(7, "drop", int(k), 1000) for k in made["k"]]
    assert made["intended_ns"][0] == T0


def test_a_start_told_twice_or_never_dispatched_breaks_the_books() -> None:
    twice = np.concatenate([sent(10), sent(1)])
    with pytest.raises(AccountingError, match="twice"):
        complete(history(twice, 10))
    with pytest.raises(AccountingError, match="of 9 dispatched"):
        complete(history(sent(10), 9))
    with pytest.raises(AccountingError, match="more requests than were scheduled"):
        summary([history(sent(10))], {"drop": 9})


outcomes = st.sampled_from([*Outcome])


@given(st.lists(outcomes, max_size=60), st.integers(0, 20), st.integers(0, 50), st.integers(1, 3))
def test_the_books_balance_whatever_happened(
    drawn: list[Outcome], killed: int, never: int, workers: int
) -> None:
    dispatched = len(drawn) + killed
    records = sent(dispatched)
    records["outcome"][: len(drawn)] = drawn
    for at, outcome in enumerate(drawn):
        if outcome is Outcome.DROPPED:
            drop(records, at, Reason.NO_FILES)
    parts = [
        history(records[: len(drawn)][worker::workers], dispatched, worker=worker, workers=workers)
        for worker in range(workers)
    ]
    found = summary(parts, {"drop": dispatched + never, "spike": 5})
    assert found.scheduled == found.started + found.dropped + found.never_started
    assert found.started == found.completed + found.failed + found.interrupted
    assert found.never_started == never + 5
    assert found.interrupted == killed
    assert found.dropped == drawn.count(Outcome.DROPPED)


def test_the_summary_has_k6s_figures() -> None:
    records = sent(1000, lag_ms=5.0)
    records["ended_ns"] = records["sent_ns"] + np.arange(1, 1001) * MS
    records["bytes_sent"] = 100
    records["outcome"][:10] = Outcome.UNKNOWN
    drop(records, slice(990, 1000), Reason.SYSTEM_SATURATED)
    found = summary([history(records)], {"drop": COUNT})
    trend = found.metrics["http_req_duration"]
    assert trend["min"] == 1
    assert trend["max"] == 990
    assert trend["p(95)"] == pytest.approx(np.percentile(np.arange(1, 991), 95))
    assert found.metrics["http_req_duration_intended"]["med"] == pytest.approx(trend["med"] + 5)
    assert found.metrics["http_req_failed"] == {"rate": 0.02, "passes": 20, "fails": 980}
    assert found.metrics["http_reqs"]["count"] == 990
    assert found.metrics["dropped_iterations"]["count"] == 10
    assert found.metrics["data_sent"]["count"] == 99_000
    assert found.never_started == COUNT - 1000
    assert found.metrics["vus_max"]["max"] == 90


def test_refusals_that_a_step_asked_for_are_reported_apart() -> None:
    records = sent(100)
    records["outcome"][50:] = Outcome.REFUSED
    window = (int(records["intended_ns"][50]), int(records["intended_ns"][99]) + 1_000_000_000)
    found = summary([history(records)], {}, about=About(apart=[window]))
    assert found.metrics["http_req_failed"]["rate"] == 0
    assert summary([history(records)], {}).metrics["http_req_failed"]["rate"] == 0.5


def test_a_tagged_part_is_measured_and_no_samples_are_none() -> None:
    records = sent(100)
    records["outcome"][:30] = Outcome.SOLD_OUT
    histories = [history(records)]
    assert measure(histories, "http_reqs{outcome:sold_out,scenario:drop}") == {
        "count": 30,
        "rate": pytest.approx(30 / 1.0101),
    }
    assert measure(histories, "http_req_duration{outcome:duplicate}") is None
    assert measure(histories, "http_reqs{outcome:duplicate}") == {"count": 0, "rate": 0}
    assert measure(histories, "http_reqs{scenario:dorp}") is None
    asked = measure(histories, "http_req_duration{status:200}", percentiles=[99.9])
    assert asked is not None
    assert asked["p(99.9)"] == pytest.approx(20)
    assert measure([], "http_reqs") is None
    assert summary([], {"drop": 3}).metrics == {}


def test_a_worker_in_time_kept_its_schedule() -> None:
    found = generator([history(sent())], 200.0)
    assert found.status == "kept"
    assert found.reasons == ()
    assert found.speaks_up_to_per_s == 100
    assert found.lag_p99_ms == pytest.approx(0.1)


def test_a_saturated_or_refusing_system_does_not_limit_the_generator() -> None:
    records = sent()
    drop(records, slice(500, 1000), Reason.SYSTEM_SATURATED)
    refuse(records, slice(1000, 1500))
    assert generator([history(records)], 200.0).status == "kept"


@pytest.mark.parametrize("reason", [Reason.NO_FILES, Reason.NO_PORTS, Reason.LATE, Reason.NO_VUS])
def test_starts_we_could_not_send_limit_it_and_say_why(reason: Reason) -> None:
    records = sent()
    drop(records, slice(700, 730), reason)
    found = generator([history(records)], 200.0)
    assert found.status == "limited"
    assert reason.text in " ".join(map(str, found.reasons))
    assert "94.0%" in str(found.reasons[0])


def test_a_stall_of_half_a_second_limits_a_run_that_judges_200_ms() -> None:
    records = sent()
    stalled = slice(1000, 1050)
    records["sent_ns"][stalled] = records["intended_ns"][1050]
    found = generator([history(records)], 200.0)
    assert found.status == "limited"
    assert "dispatch lag p95" in str(found.reasons[0])
    assert generator([history(records)], 2000.0).status == "kept"


def test_between_kept_and_limited_it_is_degraded() -> None:
    records = sent()
    drop(records, slice(700, 720), Reason.NO_FILES)
    assert generator([history(records)], 200.0).status == "degraded"
    late = sent()
    late["sent_ns"][::50] += 80 * MS
    assert generator([history(late)], 200.0).status == "degraded"


def test_starts_that_were_due_and_never_dispatched_limit_it() -> None:
    records = sent(1000)
    until = T0 + 20_000_000_000
    assert generator([history(records)], 200.0).status == "kept"
    assert generator([history(records)], 200.0, until_ns=until).status == "limited"
    spike = history(records, spec=SPEC | {"start_ns": 0})
    assert generator([spike], 200.0, until_ns=until).status == "kept"


def test_nothing_at_all_is_folded_without_complaint() -> None:
    assert generator([], 200.0).speaks_up_to_per_s == 0


def test_a_million_records_are_folded_in_seconds() -> None:
    many = 1_000_000
    spec = SPEC | {"rate": "10000/s", "duration": "100s"}
    records = np.zeros(many, dtype=RECORD)
    records["k"] = np.arange(many)
    records["intended_ns"] = T0 + due_times(from_json(spec))
    records["sent_ns"] = records["intended_ns"] + 1000
    records["ended_ns"] = records["sent_ns"] + 20 * MS
    fold = Fold("drop")
    began = time.process_time()
    fold.add(records, many, T0)
    folded = time.process_time()
    found = summary([history(records, spec=spec)], {})
    summarised = time.process_time()
    assert found.completed == many
    assert folded - began < 2.0  # 0.1 s on a quiet machine
    assert summarised - folded < 6.0


def test_k6s_phases_add_up_and_refused_connections_are_in_none() -> None:
    records = sent(100, took_ms=20.0)
    records["connecting_ms"][:10], records["tls_ms"][:10] = 2.0, 4.0
    records["sending_ms"] = 1.0
    refuse(records, slice(90, 100))
    found = summary([history(records)], {}).metrics
    assert found["http_req_connecting"]["max"] == 2
    assert found["http_req_tls_handshaking"]["count"] == 90
    assert found["http_req_blocked"]["max"] == 6
    assert found["http_req_duration"]["min"] == 14
    assert found["http_req_duration"]["max"] == 20
    assert found["http_req_waiting"]["max"] == 14
    assert found["http_req_receiving"]["med"] == 5
    parts = ("sending", "waiting", "receiving")
    whole = sum(found[f"http_req_{part}"]["avg"] for part in parts)
    assert whole == pytest.approx(found["http_req_duration"]["avg"])
    assert found["iteration_duration"]["count"] == 100  # an iteration without an answer is one
    assert found["iterations"]["count"] == 100


def test_the_pause_of_a_virtual_user_is_part_of_its_iteration() -> None:
    asleep = history(sent(200), spec=SPEC | {"sleep": "1s", "preAllocatedVUs": 150})
    found = summary([asleep], {}).metrics
    assert found["iteration_duration"]["med"] == pytest.approx(1020)
    assert found["http_req_duration"]["med"] == pytest.approx(20)
    assert found["vus"]["max"] == 102
    assert found["vus_max"]["value"] == 150
    assert summary([asleep], {}).closed == ()
    users = SPEC | {"executor": "constant-vus", "vus": 3}
    assert summary([history(sent(3), spec=users)], {}).closed == ("drop",)


def test_open_requests_are_censored_and_a_percentile_among_them_is_at_least_its_figure() -> None:
    records = sent(200)
    opened = records[190:]
    opened["outcome"], opened["reason"] = Outcome.UNKNOWN, Reason.INTERRUPTED
    opened["ended_ns"] = opened["first_byte_ns"] = 0
    records["ended_ns"][100] += 5_000 * MS  # until then somebody looked
    found = measure([history(records)], "http_req_duration", percentiles=[90, 95, 99])
    assert found is not None
    assert found["censored"] == 10
    assert found["count"] == 200
    assert found["p(90)"] == 20
    assert 94 < found["known_to_p"] < 95
    assert found["p(99)"] > 4000  # they were open for so long when it ended
    assert not evaluate(parse("p(99)<60000"), found)
    assert evaluate(parse("p(90)<100"), found)
    assert evaluate(parse("p(99)>1000"), found)
    assert evaluate(parse("p(99)>60000"), found) is None
    assert not evaluate(parse("max<60000"), found)


def test_a_killed_workers_requests_fail_a_bound_though_nobody_knows_when_they_were_sent() -> None:
    found = measure([history(sent(10), 100)], "http_req_duration", percentiles=[95])
    assert found is not None
    assert found["censored"] == 90
    assert found["p(95)"] == 20
    assert not evaluate(parse("p(95)<200"), found)
    assert evaluate(parse("min<200"), found)


def test_an_attempt_that_was_made_again_is_a_request_that_failed() -> None:
    records = sent(100)
    records["attempts"] = 1
    records["attempts"][:10] = 3
    found = summary([history(records)], {}).metrics
    assert found["http_reqs"]["count"] == 120
    assert found["iterations"]["count"] == 100
    assert found["http_req_failed"] == {"rate": 20 / 120, "passes": 20, "fails": 100}


def test_windows_outcomes_and_what_all_requests_share_are_tags() -> None:
    records = sent(2000)
    records["ended_ns"][1000:1500] += 300 * MS
    records["outcome"][1200:1300] = Outcome.UNKNOWN
    windows = {"before": [(T0, T0 + 10 * NS)], "during-slow": [(T0 + 10 * NS, T0 + 15 * NS)]}
    about = About(tags={"method": "POST"}, windows=windows)
    found = summary([history(records)], {}, about=about).metrics
    assert found["http_req_duration{window:before}"]["max"] == 20
    assert found["http_req_duration{window:during-slow}"]["min"] == 320
    assert found["http_req_failed{window:during-slow}"]["rate"] == 0.2
    assert found["http_req_duration{expected_response:true}"]["count"] == 1900
    assert found["http_req_duration{outcome:unknown}"]["count"] == 100
    both = "http_reqs{window:during-slow,method:POST,outcome:unknown}"
    asked = measure([history(records)], both, about=about)
    assert asked is not None
    assert asked["count"] == 100
    assert measure([history(records)], "http_reqs{method:GET}", about=about) is None
    assert measure([history(records)], "http_reqs{window:after}", about=about) is None


def test_beyond_two_million_samples_percentiles_are_within_a_thousandth() -> None:
    rng = np.random.default_rng(3)
    samples = rng.lognormal(16, 1, percentiles.EXACT_UP_TO + 1).astype(np.int64)
    found = percentiles.figures(percentiles.store(samples), samples[:0], (95, 99.9))
    assert found is not None
    assert found["count"] == len(samples)
    for percentile in (95, 99.9):
        exact = np.percentile(samples, percentile) / MS
        assert found[f"p({percentile:g})"] == pytest.approx(exact, rel=0.001)


def test_several_workers_starts_stand_in_the_order_they_were_due() -> None:
    records = sent(300)
    rng = np.random.default_rng(1)
    parts = [rng.permutation(records[worker::3]) for worker in range(3)]
    starts = Starts([history(part, 300, worker=w, workers=3) for w, part in enumerate(parts)])
    assert starts["k"].tolist() == list(range(300))
    assert [starts.record(n).tolist() for n in range(300)] == records.tolist()
    assert starts.record(17)["k"] == 17


@given(
    st.lists(st.integers(0, 40), max_size=60),
    st.lists(st.integers(0, 40), max_size=60),
    st.sampled_from([1, 10**3, 10**12]),
)
def test_the_most_open_at_once_is_what_counting_one_by_one_finds(
    begins: list[int], ends: list[int], scale: int
) -> None:
    most = max((sum(b <= t for b in begins) - sum(e <= t for e in ends) for t in begins), default=0)
    times = [np.array(some, dtype=np.int64) * scale for some in (begins, ends)]
    assert most_open(times[0], times[1]) == max(most, 0)


def test_the_most_open_of_many_is_found_without_sorting_them() -> None:
    rng = np.random.default_rng(1)
    begins = rng.integers(0, 10**10, 50_000)
    ends = begins + rng.integers(0, 10**9, 50_000)
    ordered = np.sort(begins)
    over = np.searchsorted(np.sort(ends), ordered, side="right")
    assert most_open(begins, ends) == int((np.arange(1, 50_001) - over).max())


@pytest.mark.parametrize(
    "samples",
    [
        np.random.default_rng(1).integers(0, 10**9, 10_000),
        np.random.default_rng(2).integers(-(10**6), 10**12, 10_000),
        np.where(np.random.default_rng(3).random(10_000) < 0.97, 5, 900),
        np.where(np.random.default_rng(4).random(10_000) < 0.97, 0, 900),
        np.random.default_rng(5).integers(0, 100, 7),
        np.array([3]),
    ],
)
def test_what_is_selected_is_what_sorting_would_put_there(samples: Any) -> None:
    exact, ordered = percentiles.Exact(samples), np.sort(samples)
    places = [0, len(samples) - 1, *np.random.default_rng(6).integers(0, len(samples), 50).tolist()]
    assert [exact.at(place) for place in places] == [float(ordered[place]) for place in places]
    for percentile in (0, 1, 50, 90, 95, 99, 99.9, 100):
        expected = float(np.percentile(samples / 1e6, percentile))
        assert percentiles.percentile_ms(exact, percentile) == expected


def test_a_span_is_read_from_its_half_float_to_the_nanosecond() -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    rows = {"connecting_ms": halves, "tls_ms": np.zeros_like(halves)}
    plainly = [round(float(half) * 1_000_000) for half in halves]
    assert percentiles.blocked_ns(Columns(rows)).tolist() == plainly


def test_workers_and_starts_without_a_record_stand_in_the_order_of_their_numbers() -> None:
    whole = sent()
    halves = [whole[0::2][[5, 0, 3, 1, 2]], whole[1::2][::-1]]
    parts = [
        history(halves[0], 20, worker=0, workers=2),
        history(halves[1], COUNT, worker=1, workers=2),
    ]
    starts = Starts(parts)
    assert starts["k"].tolist() == sorted([*range(0, 20, 2), *range(1, COUNT, 2)])
    made_up = np.flatnonzero(starts["reason"] == Reason.INTERRUPTED)
    assert starts["k"][made_up].tolist() == [8, *range(12, 20, 2)]
    assert starts.pick("sent_ns", made_up).tolist() == [0] * len(made_up)
    assert [int(starts.record(at)["k"]) for at in (0, 8, len(starts) - 1)] == [0, 8, COUNT - 1]


def test_the_generators_status_is_the_same_of_histories_and_of_their_starts() -> None:
    parts = [history(sent()[worker::2], COUNT, worker=worker, workers=2) for worker in range(2)]
    until_ns = T0 + 30 * NS
    assert generator(Starts(parts), 100, until_ns=until_ns) == generator(
        parts, 100, until_ns=until_ns
    )
