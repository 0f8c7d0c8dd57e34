"""The system's own limit: where it is found in a made-up run, and where it is said not to be."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gameday.core.clock import NS
from gameday.traffic import metrics
from gameday.traffic.history import RECORD, History, Outcome, Reason
from gameday.traffic.metrics import Bounds, SystemLimit
from tests.traffic.test_metrics import header

T0 = 1_000 * NS
RAMP = [*range(20, 1001, 20), *[1000] * 20, *range(1000, 0, -20)]
"""Starts in each second: up to 1,000 in 50 s, held for 20 s, and down again."""

Behaviour = Callable[[int, float], tuple[float, Outcome, Reason]]
"""What becomes of a start, by the second it is due in and the rate then: ms, outcome, reason."""


def run(rates: list[int], behave: Behaviour) -> metrics.Starts:
    rows: list[Any] = []
    for second, rate in enumerate(rates):
        for at in range(rate):
            due = T0 + second * NS + at * NS // rate
            took_ms, outcome, reason = behave(second, rate)
            sent = 0 if outcome is Outcome.DROPPED else due + 1000
            rows.append((due, sent, round(due + took_ms * 1e6), outcome, reason))
    made = np.zeros(len(rows), dtype=RECORD)
    made["k"], made["attempts"] = np.arange(len(rows)), 1
    for at, name in enumerate(("intended_ns", "sent_ns", "ended_ns", "outcome", "reason")):
        made[name] = [row[at] for row in rows]
    spec = {"executor": "constant-arrival-rate", "rate": "1/s", "duration": f"{len(rows)}s"}
    head = header(spec=spec, t0_ns=T0)
    return metrics.Starts([History(head, len(rows), made)], so_far=True)


def fine(_second: int, _rate: float) -> tuple[float, Outcome, Reason]:
    return 5.0, Outcome.ISSUED, Reason.NONE


def found(rates: list[int], behave: Behaviour, failed: float | None = 0.05) -> SystemLimit:
    limit = metrics.system_limit(run(rates, behave), Bounds(p95_ms=500, failed=failed))
    assert limit is not None
    return limit


def test_who_carries_everything_has_not_reached_his_limit() -> None:
    limit = found(RAMP, fine)
    assert limit == SystemLimit(per_s=None, carried_per_s=1000, p95_ms=5, not_carried_s=0)


def test_a_hiccup_is_no_limit_but_is_told() -> None:
    def hiccup(second: int, rate: float) -> tuple[float, Outcome, Reason]:
        return (800.0, Outcome.ISSUED, Reason.NONE) if 55 <= second < 60 else fine(second, rate)

    for rates in (RAMP, [*RAMP[:55], *[1003] * 5, *RAMP[60:]]):  # and in the highest of all
        limit = found(rates, hiccup)
        assert (limit.per_s, limit.carried_per_s, limit.not_carried_s) == (None, 1000, 5)


def test_the_limit_is_where_it_grew_slow_and_not_where_it_worked_off_the_rest() -> None:
    def slow_from_600(second: int, rate: float) -> tuple[float, Outcome, Reason]:
        return (900.0, Outcome.ISSUED, Reason.NONE) if 30 <= second < 100 else fine(second, rate)

    limit = found(RAMP, slow_from_600)
    assert limit.per_s == pytest.approx(660)  # the first window that was slow: 620 to 700
    assert limit.carried_per_s == pytest.approx(560)
    assert (limit.not_carried_s, limit.p95_ms) == (70, 5)
    assert str(limit.why) == "p95 was 900 ms, 500 ms are allowed"


@pytest.mark.parametrize(
    ("outcome", "reason", "failed", "reached"),
    [
        (Outcome.UNKNOWN, Reason.TIMEOUT, 0.05, True),
        (Outcome.UNKNOWN, Reason.TIMEOUT, None, True),
        (Outcome.DROPPED, Reason.SYSTEM_SATURATED, None, True),
        (Outcome.REFUSED, Reason.NONE, 0.05, True),
        (
            Outcome.REFUSED,
            Reason.NONE,
            None,
            False,
        ),  # a refusal is an answer, where none is bounded
        (Outcome.DROPPED, Reason.NO_VUS, 0.05, False),  # never offered: the generator's own
    ],
)
def test_a_limit_may_show_in_failures(
    outcome: Outcome, reason: Reason, failed: float | None, *, reached: bool
) -> None:
    rng = np.random.default_rng(1)

    def failing_from_800(second: int, rate: float) -> tuple[float, Outcome, Reason]:
        over = rate >= 800 and rng.random() < 0.3
        return (5.0, outcome, reason) if over else fine(second, rate)

    limit = found(RAMP, failing_from_800, failed)
    assert (limit.per_s is not None) is reached
    if reached:
        assert limit.per_s == pytest.approx(760)  # in its last second it asked for 800
        assert "of the requests failed" in str(limit.why)
    if reason is Reason.NO_VUS:
        assert limit.carried_per_s < 800


def test_answers_that_never_came_are_slow_and_nothing_is_said_of_nothing() -> None:
    def hanging(second: int, rate: float) -> tuple[float, Outcome, Reason]:
        took_ms = -(T0 + second * NS) / 1e6 if rate > 100 else 5.0
        return took_ms, Outcome.UNKNOWN if rate > 100 else Outcome.ISSUED, Reason.NONE

    only_slow = metrics.system_limit(run([50] * 10, fine), Bounds(p95_ms=1, failed=None))
    assert only_slow is not None
    assert (only_slow.per_s, only_slow.carried_per_s, only_slow.p95_ms) == (50, 0, None)
    assert found([50] * 20 + [200] * 20, hanging).per_s == 200
    assert metrics.system_limit(run([1] * 20, fine), Bounds(p95_ms=1, failed=None)) is None
    assert metrics.system_limit(run([100] * 4, fine), Bounds(p95_ms=1, failed=None)) is None
