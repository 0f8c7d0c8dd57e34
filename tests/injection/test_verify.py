"""Witnesses: the dose is measured, and a fault nobody passes by is never called injected."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from gameday.core.clock import SystemClock
from gameday.evidence.events import Observation
from gameday.injection.verify.impact_verdict import Felt, shifts
from gameday.injection.verify.injection_verdict import ComparedProbe, injected
from gameday.injection.verify.levels import lasting_level
from gameday.injection.verify.probe import Answer, ExpectedProtocol, Probe, Spot, look
from gameday.injection.verify.probe_verdict import as_refused, judge_flap, judge_probes
from gameday.injection.verify.recovery import way_through
from gameday.injection.verify.traffic_windows import Stretch, stretches, worst_lag_s
from gameday.spec.changes import NetworkChange, ProxyDown, ProxyFlap
from gameday.traffic.history import RECORD, History, HistoryHeader, Outcome, Reason
from tests.support.toxics import toxic
from tests.support.toxiproxies import redis_like

LATENCY = toxic("redis", "latency", latency=300, jitter=50)
S = 1_000_000_000


def answered(*took_ms: float) -> list[Probe]:
    return [Probe("answered", t) for t in took_ms]


def traffic(
    *took_s: float | None,
    failed: float | None = 0.0,
    lag_s: float = 0.001,
    let_go_at_s: float | None = None,
) -> list[Stretch]:
    """One stretch a second, of a hundred requests each; answered in turn, or at one instant."""

    def stretch(begin_s: int, took_s: float | None) -> Stretch:
        over_s = None if took_s is None else let_go_at_s or begin_s + took_s
        over_ns = None if over_s is None else round(over_s * S)
        return Stretch(begin_s * S, (begin_s + 1) * S, 100, took_s, failed, lag_s, over_ns)

    return [stretch(*each) for each in enumerate(took_s)]


def felt(metric_s: Sequence[float | None], seen: Sequence[Stretch]) -> Felt:
    return Felt(metric_s, seen)


CALM = felt([0.002] * 5, traffic(*[0.01] * 5))


def observation(*, ok: bool | None, shown: bool = True) -> Observation:
    return Observation("P", ok, 300, 300, "ms", 12, "why", shown)


@pytest.mark.parametrize(
    ("took_ms", "ok"),
    [(301.0, True), (350.0, True), (370.0, False), (180.0, False), (1.0, False)],
)
def test_latency_is_seen_within_a_fifth_of_what_was_asked(took_ms: float, ok: bool) -> None:
    assert judge_probes(LATENCY, answered(*[took_ms] * 12), 1.0).ok is ok


def test_a_small_latency_is_not_seen_where_there_is_none() -> None:
    small = toxic("redis", "latency", latency=10, jitter=0)
    assert judge_probes(small, answered(*[1.0] * 12), 1.0).ok is False
    assert judge_probes(small, answered(*[11.0] * 12), 1.0).ok is True


def test_too_few_answers_tell_nothing_of_latency() -> None:
    probes = answered(*[300.0] * 9) + [Probe("unanswered", 1000.0)] * 3
    assert judge_probes(LATENCY, probes, 1.0).ok is None


@pytest.mark.parametrize(
    ("change", "answer", "ok"),
    [
        (ProxyDown("redis"), "refused", True),
        (ProxyDown("redis"), "answered", False),
        (toxic("redis", "timeout", timeout=0), "unanswered", True),
        (toxic("redis", "timeout", timeout=0), "answered", False),
        (toxic("redis", "timeout", timeout=200), "closed", True),
        (toxic("redis", "reset_peer", timeout=0), "reset", True),
        (toxic("redis", "reset_peer", timeout=0), "closed", False),
    ],
)
def test_each_fault_is_known_by_how_probes_end(
    change: NetworkChange, answer: Answer, ok: bool
) -> None:
    assert judge_probes(change, [Probe(answer, 1.0)] * 12, 1.0).ok is ok


def test_a_dose_that_the_service_felt_is_injected() -> None:
    hit = felt([0.3] * 4, traffic(*[0.35] * 4))
    seen = shifts(LATENCY, CALM, hit, dependency=True)
    assert [s.ok for s in seen] == [True, True]
    assert injected(observation(ok=True), seen)[0] == "yes"


def test_a_dose_that_nobody_felt_is_unknown_and_says_so() -> None:
    hit = felt([0.002] * 4, traffic(*[0.012] * 4))
    seen = shifts(LATENCY, CALM, hit, dependency=True)
    verdict, why = injected(observation(ok=True), seen)
    assert verdict == "unknown"
    assert "not seen to use this proxy" in str(why)


def test_half_the_dose_is_the_least_that_counts() -> None:
    for took_s, ok in ((0.155, False), (0.175, True)):
        hit = felt([], traffic(*[took_s] * 4))
        assert shifts(LATENCY, CALM, hit, dependency=False)[0].ok is ok


def test_one_slow_second_is_a_hiccup_and_no_witness() -> None:
    hit = felt([0.002, 0.4, 0.002, 0.4], traffic(0.01, 0.4, 0.01, 0.4))
    seen = shifts(LATENCY, CALM, hit, dependency=True)
    assert [s.ok for s in seen] == [False, False]


def test_what_holds_is_a_witness_even_when_a_step_ends_it() -> None:
    hit = felt([0.3, 0.3, None, None], traffic(*[0.3] * 5, *[0.01] * 15))
    assert [s.ok for s in shifts(LATENCY, CALM, hit, dependency=True)] == [True, True]


def test_a_hiccup_of_a_second_is_no_witness_in_a_long_fault() -> None:
    hit = felt([], traffic(*[0.01] * 8, 0.4, 0.4, 0.4, *[0.01] * 8))
    assert shifts(LATENCY, CALM, hit, dependency=False)[0].ok is False


@pytest.mark.parametrize(("up_for", "ok"), [(5, False), (6, True)])
def test_a_metric_over_five_seconds_must_stay_up_for_longer_than_one_hiccup(
    up_for: int, ok: bool
) -> None:
    hit = felt([*[0.3] * up_for, *[0.002] * 6], [])
    seen = shifts(LATENCY, CALM, hit, dependency=True, window_s=5.0)
    assert seen[0].ok is ok


def test_the_level_that_held_is_the_lowest_of_the_highest_run() -> None:
    assert lasting_level([1, 9, 2, 5, 4, 6]) == 4
    assert lasting_level([1, 9, 2, 5, 4, 6], 4) == 2
    assert lasting_level([1, None, 2, None]) is None
    assert lasting_level([]) is None


def test_what_the_generators_lag_explains_is_nobodys_dose() -> None:
    hit = felt([], traffic(*[0.35] * 4, lag_s=0.25))
    assert shifts(LATENCY, CALM, hit, dependency=False)[0].ok is False


def test_what_was_so_before_is_no_witness() -> None:
    slow = felt([0.4] * 5, traffic(*[0.4] * 5))
    assert [s.ok for s in shifts(LATENCY, slow, slow, dependency=True)] == [False, False]


def test_what_goes_up_and_down_in_the_calm_must_go_higher_in_the_fault() -> None:
    restless = felt([], traffic(0.01, 0.35, 0.35, 0.01, 0.01))
    higher = felt([], traffic(*[0.5] * 4))
    assert shifts(LATENCY, restless, higher, dependency=False)[0].ok is False
    highest = felt([], traffic(*[0.75] * 4))
    assert shifts(LATENCY, restless, highest, dependency=False)[0].ok is True


def test_a_probe_that_saw_no_dose_means_not_injected_whatever_was_felt() -> None:
    hit = felt([0.3] * 4, traffic(*[0.35] * 4))
    seen = shifts(LATENCY, CALM, hit, dependency=True)
    assert injected(observation(ok=False), seen)[0] == "no"
    assert injected(observation(ok=None), seen)[0] == "unknown"
    assert injected(None, seen)[0] == "unknown"


def test_what_is_only_read_back_needs_the_services_own_metric() -> None:
    hit = felt([0.05] * 4, traffic(*[0.35] * 4))
    seen = shifts(LATENCY, CALM, hit, dependency=True)
    assert [s.ok for s in seen] == [False, True]
    assert injected(observation(ok=True), seen)[0] == "yes"
    read_back = observation(ok=True, shown=False)
    assert injected(read_back, seen)[0] == "unknown"
    without = shifts(LATENCY, CALM, hit, dependency=False)
    verdict, why = injected(read_back, without)
    assert (verdict, "names none" in str(why)) == ("unknown", True)
    told = shifts(LATENCY, CALM, felt([0.3] * 4, []), dependency=True)
    assert injected(read_back, told)[0] == "yes"


def test_a_service_that_stood_still_is_no_witness_however_long_its_answers_took() -> None:
    took_s = [3.4, 2.4, 1.4, 0.4, 0.01, 0.01]
    hit = felt([], traffic(*took_s, let_go_at_s=3.5))
    (seen,) = shifts(LATENCY, CALM, hit, dependency=False)
    assert seen.ok is None
    assert "stood still" in seen.why
    verdict, why = injected(observation(ok=True), [seen])
    assert (verdict, "stood still" in str(why)) == ("unknown", True)
    (in_turn,) = shifts(LATENCY, CALM, felt([], traffic(*[0.4] * 6)), dependency=False)
    assert in_turn.ok


STILL = [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("took_s", "let_go_at_s", "p", "ok"),
    [
        (STILL, 6.0, ComparedProbe.of(observation(ok=True)), True),
        (STILL, 6.0, observation(ok=True), None),  # nobody could ask past the proxy
        (STILL, 6.0, ComparedProbe.of(observation(ok=None)), None),
        (STILL, 6.0, ComparedProbe.of(observation(ok=True, shown=False)), None),
        ([5.2, 4.2, 3.2, 2.2, 1.2, 0.2], 5.2, ComparedProbe.of(observation(ok=True)), None),
        ([0.01] * 3 + STILL[:6], 9.5, ComparedProbe.of(observation(ok=True)), None),
    ],
    ids=["with it", "no direct way", "few answers", "read back", "let go before", "later"],
)
def test_a_standstill_counts_that_began_and_ended_with_a_fault_that_a_probe_measured(
    took_s: list[float], let_go_at_s: float, p: Observation, ok: bool | None
) -> None:
    hit = felt([], traffic(*took_s, let_go_at_s=let_go_at_s))
    (seen,) = shifts(LATENCY, CALM, hit, dependency=False, p=p)
    assert seen.ok is ok, seen.why


def test_a_standstill_does_not_hide_a_dose_that_is_felt_after_it() -> None:
    stood, felt_it = traffic(2.4, 1.4, 0.4, let_go_at_s=2.5), traffic(*[0.0] * 3, *[0.35] * 6)[3:]
    (seen,) = shifts(LATENCY, CALM, felt([], [*stood, *felt_it]), dependency=False)
    assert seen.ok


def test_a_dose_longer_than_the_fault_is_let_go_by_its_removal() -> None:
    long = toxic("redis", "latency", latency=5000, jitter=0)
    hit = felt([], traffic(4.0, 3.0, 2.9, 2.8, let_go_at_s=4.0))
    assert shifts(long, CALM, hit, dependency=False)[0].ok


@pytest.mark.parametrize("window_s", [0.0, 3.0])
def test_traffic_that_is_slow_while_the_services_own_metric_is_not_tells_nothing(
    window_s: float,
) -> None:
    hit = felt([0.002] * 5, traffic(*[1.0] * 4))
    own, seen = shifts(LATENCY, CALM, hit, dependency=True, window_s=window_s)
    assert (own.ok, seen.ok) == (False, None)
    assert "for another reason" in seen.why
    assert injected(observation(ok=True), [own, seen])[0] == "unknown"


def test_a_metric_that_cannot_show_the_dose_does_not_contradict_the_traffic() -> None:
    slow = traffic(*[1.0] * 4)
    coarse = shifts(LATENCY, CALM, felt([0.1] * 4, slow), dependency=True)
    assert [s.ok for s in coarse] == [False, True]
    hit = felt([0.002] * 4, slow)
    over_a_minute = shifts(LATENCY, CALM, hit, dependency=True, window_s=60.0)
    assert [s.ok for s in over_a_minute] == [False, True]
    silent = shifts(LATENCY, CALM, felt([None] * 4, slow), dependency=True)
    assert [s.ok for s in silent] == [None, True]


def test_metrics_without_data_are_no_witnesses() -> None:
    nothing = felt([None] * 5, traffic(*[None] * 5, failed=None))
    seen = shifts(LATENCY, nothing, nothing, dependency=True)
    assert [s.ok for s in seen] == [None, None]
    assert injected(observation(ok=True), seen)[0] == "unknown"
    blank = shifts(ProxyDown("redis"), CALM, nothing, dependency=True)
    assert [s.ok for s in blank] == [None, None, None]


def test_a_service_that_is_down_is_felt_as_failures() -> None:
    hit = felt([None] * 4, traffic(None, None, None, failed=1.0))
    seen = shifts(ProxyDown("redis"), CALM, hit, dependency=True)
    assert [s.ok for s in seen if s.unit == "share"] == [True]
    few = felt([None] * 4, traffic(None, None, None, failed=0.4))
    seen = shifts(ProxyDown("redis"), CALM, few, dependency=True)
    assert [s.ok for s in seen if s.unit == "share"] == [False]


FLAP = ProxyFlap("redis", 1000, 2000, 0)


@pytest.mark.parametrize(
    ("answers", "ok"),
    [
        ({"refused": 10, "answered": 20}, True),
        ({"refused": 12, "answered": 17, "reset": 1}, True),
        ({"refused": 30}, None),
        ({"answered": 30}, None),
        ({"refused": 4, "answered": 26}, None),
        ({"refused": 21, "answered": 9}, None),
        ({}, None),
    ],
)
def test_a_flap_is_seen_down_and_up(answers: dict[Answer, int], ok: bool | None) -> None:
    probes = [Probe(answer, 1.0) for answer, count in answers.items() for _ in range(count)]
    assert judge_flap(FLAP, probes).ok is ok


@pytest.mark.parametrize(
    ("failed", "ok"),
    [
        ([1.0, 0.0, 0.0] * 3, True),
        ([0.6, 0.0, 0.0] * 3, True),
        ([0.3, 0.0, 0.0] * 3, False),
        ([0.0] * 9, False),
        ([0.0, 0.0, 1.0] + [0.0] * 6, False),  # one hiccup
        ([1.0, 0.0, 0.0] * 2 + [0.0] * 6, True),  # until a step ended it
        ([1.0, 0.0, 0.0], None),
    ],
)
def test_a_flap_is_felt_over_two_periods(failed: list[float], ok: bool | None) -> None:
    calm = traffic(*[0.01] * len(failed))
    during = [replace(each, failed=f) for each, f in zip(calm, failed, strict=True)]
    seen = shifts(FLAP, CALM, felt([], during), dependency=False)
    assert [s.ok for s in seen if s.unit == "share"] == [ok]


async def test_redis_is_known_by_its_answer_even_when_it_wants_a_password() -> None:
    async with redis_like() as port:
        spot = await look(("127.0.0.1", port), SystemClock(), None, ExpectedProtocol("redis"))
    assert spot.protocol == "redis"
    assert spot.before_ms is not None
    assert spot.before_ms < 500


async def test_postgres_is_known_by_one_byte() -> None:
    async with redis_like(b"N") as port:
        spot = await look(("127.0.0.1", port), SystemClock(), None, ExpectedProtocol("postgres"))
    assert spot.protocol == "postgres"


async def test_nobody_at_the_address_is_unknown_and_not_an_error() -> None:
    async with redis_like() as port:
        pass
    spot = await look(("127.0.0.1", port), SystemClock(), None, ExpectedProtocol("redis"))
    assert spot == Spot(("127.0.0.1", port), "unknown", None)


@pytest.mark.parametrize(
    ("before_ms", "took_ms", "normal"), [(1.0, 5.9, True), (1.0, 6.1, False), (50.0, 59.0, True)]
)
def test_latency_is_back_when_it_is_about_what_it_was(
    before_ms: float, took_ms: float, normal: bool
) -> None:
    assert way_through(answered(*[took_ms] * 12), before_ms).is_calm is normal


MS = 1_000_000
HEADER = HistoryHeader.from_json(
    {
        "scenario": "drop",
        "seed": 1,
        "users": 100,
        "t0_ns": 0,
        "spec": {"executor": "constant-arrival-rate", "rate": "10/s", "duration": "3s"},
    }
)


def history(*rows: tuple[int, int, Outcome, Reason], dispatched: int = 0) -> History:
    """Start k was due at k · 100 ms; a row is its lag and time in ms, outcome and reason."""
    records = np.zeros(len(rows), dtype=RECORD)
    for k, (lag_ms, took_ms, outcome, reason) in enumerate(rows):
        intended = k * 100 * MS
        sent = 0 if outcome is Outcome.DROPPED else intended + lag_ms * MS
        ended = intended + (lag_ms + took_ms) * MS
        fields = ("k", "outcome", "reason", "intended_ns", "sent_ns", "ended_ns")
        for name, value in zip(fields, (k, outcome, reason, intended, sent, ended), strict=True):
            records[name][k] = value
    return History(HEADER, max(dispatched, len(rows)), records)


def row(took_ms: int = 10, *, lag_ms: int = 0) -> tuple[int, int, Outcome, Reason]:
    return lag_ms, took_ms, Outcome.ISSUED, Reason.NONE


def test_a_stretch_tells_the_time_from_the_send_and_the_lag_beside_it() -> None:
    seen = stretches([history(*[row(20, lag_ms=50)] * 20)], 0, 2 * S, 9 * S, 1.0)
    assert [s.took_s for s in seen] == [0.02, 0.02]
    assert [s.lag_s for s in seen] == [0.05, 0.05]
    assert [s.failed for s in seen] == [0.0, 0.0]
    assert worst_lag_s(seen, 0, S) == 0.05
    assert worst_lag_s(seen, 5 * S, 6 * S) == 0.0


def test_the_one_slowest_of_few_requests_is_not_their_p95() -> None:
    (seen,) = stretches([history(*[row()] * 9, row(900))], 0, S, 9 * S, 1.0)
    assert seen.took_s == 0.01


def test_a_request_that_is_still_open_took_at_least_until_now() -> None:
    (seen,) = stretches([history(*[row()] * 5, dispatched=10)], 0, S, 5 * S, 1.0)
    assert seen.n == 10
    assert seen.took_s is not None
    assert seen.took_s >= 4.1
    assert seen.failed == 0.0


def test_what_failed_is_counted_and_what_we_did_not_send_is_not_asked() -> None:
    ours = (0, 0, Outcome.DROPPED, Reason.NO_PORTS)
    theirs = (0, 0, Outcome.DROPPED, Reason.SYSTEM_SATURATED)
    refused = (0, 5, Outcome.REFUSED, Reason.CONNECT_REFUSED)
    rows = [row(), row(), row(), ours, ours, theirs, refused, refused]
    (seen,) = stretches([history(*rows)], 0, S, 9 * S, 1.0)
    assert seen.n == 6
    assert seen.failed == 0.5


def test_two_requests_tell_nothing() -> None:
    (seen,) = stretches([history(row(), row())], 0, S, 9 * S, 1.0)
    assert (seen.took_s, seen.failed) == (None, None)


def test_behind_a_relay_a_connection_that_is_closed_was_refused() -> None:
    probes = [Probe("closed", 1.0), Probe("reset", 1.0), Probe("answered", 1.0)]
    plain = Spot(("127.0.0.1", 1), "redis", 1.0)
    relayed = replace(plain, relayed=True)
    assert as_refused(plain, probes) == probes
    assert [p.answer for p in as_refused(relayed, probes)] == ["refused", "refused", "answered"]
