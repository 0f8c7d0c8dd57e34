"""Witnesses: the dose is measured, and a fault nobody passes by is never called injected."""

import pytest

from gameday import witness
from gameday.changes import Change, proxy_down, toxic
from gameday.clock import SystemClock
from gameday.readings import Felt
from gameday.witness import Probe, Sighting
from tests.toxiproxies import redis_like

LATENCY = toxic("redis", "latency", latency=300, jitter=50)


def answered(*took_ms: float) -> list[Probe]:
    return [Probe("answered", t) for t in took_ms]


def felt(*values: tuple[float | None, float | None, int, int]) -> list[Felt]:
    return [Felt(n, *value) for n, value in enumerate(values)]


def sighting(*, ok: bool | None) -> Sighting:
    return Sighting("P", ok, 300, 300, "ms", 12, "why")


@pytest.mark.parametrize(
    ("took_ms", "ok"),
    [(301.0, True), (350.0, True), (370.0, False), (180.0, False), (1.0, False)],
)
def test_latency_is_seen_within_a_fifth_of_what_was_asked(took_ms: float, ok: bool) -> None:
    assert witness.judge_probes(LATENCY, answered(*[took_ms] * 12), 1.0).ok is ok


def test_too_few_answers_tell_nothing_of_latency() -> None:
    probes = answered(*[300.0] * 9) + [Probe("unanswered", 1000.0)] * 3
    assert witness.judge_probes(LATENCY, probes, 1.0).ok is None


@pytest.mark.parametrize(
    ("change", "answer", "ok"),
    [
        (proxy_down("redis"), "refused", True),
        (proxy_down("redis"), "answered", False),
        (toxic("redis", "timeout", timeout=0), "unanswered", True),
        (toxic("redis", "timeout", timeout=0), "answered", False),
        (toxic("redis", "timeout", timeout=200), "closed", True),
        (toxic("redis", "reset_peer", timeout=0), "reset", True),
        (toxic("redis", "reset_peer", timeout=0), "closed", False),
    ],
)
def test_each_fault_is_known_by_how_probes_end(
    change: Change, answer: witness.Answer, ok: bool
) -> None:
    assert witness.judge_probes(change, [Probe(answer, 1.0)] * 12, 1.0).ok is ok


def test_a_dose_that_the_service_felt_is_injected() -> None:
    calm, hit = felt((0.002, 0.01, 0, 100)), felt((0.3, 0.35, 0, 200))
    seen = witness.shifts(LATENCY, calm, hit, dependency=True)
    assert [s.ok for s in seen] == [True, True]
    assert witness.injected(sighting(ok=True), seen)[0] == "yes"


def test_a_dose_that_nobody_felt_is_unknown_and_says_so() -> None:
    calm, hit = felt((0.002, 0.01, 0, 100)), felt((0.002, 0.012, 0, 200))
    verdict, why = witness.injected(
        sighting(ok=True), witness.shifts(LATENCY, calm, hit, dependency=True)
    )
    assert verdict == "unknown"
    assert "not seen to use this proxy" in why


def test_a_probe_that_saw_no_dose_means_not_injected_whatever_was_felt() -> None:
    calm, hit = felt((0.002, 0.01, 0, 100)), felt((0.3, 0.35, 0, 200))
    seen = witness.shifts(LATENCY, calm, hit, dependency=True)
    assert witness.injected(sighting(ok=False), seen)[0] == "no"
    assert witness.injected(None, seen)[0] == "unknown"


def test_metrics_without_data_are_no_witnesses() -> None:
    nothing = felt((None, None, 0, 0))
    seen = witness.shifts(LATENCY, nothing, nothing, dependency=True)
    assert [s.ok for s in seen] == [None, None]
    assert witness.injected(sighting(ok=True), seen)[0] == "unknown"


def test_a_service_that_is_down_is_felt_as_failures() -> None:
    calm = felt((0.002, 0.01, 0, 100), (0.002, 0.01, 0, 200), (0.002, 0.01, 0, 300))
    hit = felt((None, None, 0, 300), (None, None, 90, 400), (None, None, 190, 500))
    seen = witness.shifts(proxy_down("redis"), calm, hit, dependency=True)
    assert [s.ok for s in seen if s.unit == "share"] == [True]


async def test_redis_is_known_by_its_answer_even_when_it_wants_a_password() -> None:
    async with redis_like() as port:
        spot = await witness.look(("127.0.0.1", port), SystemClock())
    assert spot.protocol == "redis"
    assert spot.before_ms is not None
    assert spot.before_ms < 500


async def test_postgres_is_known_by_one_byte() -> None:
    async with redis_like(b"N") as port:
        spot = await witness.look(("127.0.0.1", port), SystemClock())
    assert spot.protocol == "postgres"


async def test_nobody_at_the_address_is_unknown_and_not_an_error() -> None:
    async with redis_like() as port:
        pass
    spot = await witness.look(("127.0.0.1", port), SystemClock())
    assert spot == witness.Spot(("127.0.0.1", port), "unknown", None)


@pytest.mark.parametrize(
    ("before_ms", "took_ms", "normal"), [(1.0, 5.9, True), (1.0, 6.1, False), (50.0, 59.0, True)]
)
def test_latency_is_back_when_it_is_about_what_it_was(
    before_ms: float, took_ms: float, normal: bool
) -> None:
    assert witness.back_to_normal(answered(*[took_ms] * 12), before_ms) is normal
