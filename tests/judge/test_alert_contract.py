"""The alert contract: recorded evaluations in, one status for each alert out."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.core.clock import NS
from gameday.judge.checks.alerts import (
    Episode,
    Expected,
    FaultTimes,
    Policy,
    Times,
    episodes,
    judge_alerts,
)
from gameday.judge.result import AlertOutcome
from gameday.telemetry.samples import AlertLine

TIMES = Times(
    traffic_start_ns=0,
    traffic_end_ns=60 * NS,
    faults={"slow-1": FaultTimes(15 * NS, 35 * NS)},
    breached_at_ns=17 * NS,
    recovered_at_ns=38 * NS,
)
PROMISE = Expected("Slow", "slow-1", 10, 10)
Line = tuple[int, list[AlertLine]]


def record(end_s: int = 61, **spans: Sequence[tuple[int, int, int]]) -> list[Line]:
    """Lines of one second; each span of an alert is (active, fired, over), in seconds."""

    def on(name: str, t_s: int) -> list[AlertLine]:
        return [
            AlertLine(
                labels={"alertname": name, "n": str(n)},
                state="firing" if t_s >= fired else "pending",
                active_at_ns=active * NS,
            )
            for n, (active, fired, over) in enumerate(spans[name])
            if active <= t_s < over
        ]

    return [(t_s * NS, [a for name in spans for a in on(name, t_s)]) for t_s in range(end_s)]


def status(
    lines: list[Line],
    times: Times = TIMES,
    promise: Expected = PROMISE,
    others: Policy = "forbidden",
) -> str:
    return " ".join(f"{s.alert}:{s.status}" for s in judge_alerts(lines, [promise], others, times))


def test_episodes_are_rebuilt_from_the_lines() -> None:
    lines = record(A=[(5, 8, 12), (20, 25, 22)], B=[(7, 7, 99)])
    assert episodes(lines) == [
        Episode("A", 5 * NS, 8 * NS, 12 * NS),
        Episode("B", 7 * NS, 7 * NS, None),
        Episode("A", 20 * NS, None, None),
    ]


def test_instances_of_one_alert_are_one_episode() -> None:
    lines = record(A=[(5, 8, 12), (6, 10, 15)])
    assert episodes(lines) == [Episode("A", 5 * NS, 8 * NS, 15 * NS)]


def test_a_pending_instance_does_not_keep_an_alert_firing() -> None:
    lines = record(A=[(5, 8, 12), (10, 20, 25)])
    assert episodes(lines) == [
        Episode("A", 5 * NS, 8 * NS, 12 * NS),
        Episode("A", 10 * NS, 20 * NS, 25 * NS),
    ]


def test_an_alert_that_fires_and_resolves_in_time_is_a_hit() -> None:
    lines = record(Slow=[(18, 23, 45)])
    (found,) = judge_alerts(lines, [PROMISE], "forbidden", TIMES)
    assert (found.status, found.expected) == ("hit", True)
    assert (found.active_at_ns, found.fired_at_ns) == (18 * NS, 23 * NS)
    assert found.resolved_at_ns == 45 * NS


def test_deadlines_are_kept_to_the_second() -> None:
    assert status(record(Slow=[(18, 25, 48)])) == "Slow:hit"
    assert status(record(Slow=[(18, 26, 48)])) == "Slow:late"
    assert status(record(Slow=[(18, 25, 49)])) == "Slow:late"


def test_an_alert_that_only_was_pending_is_missed() -> None:
    (found,) = judge_alerts(record(Slow=[(18, 99, 22)]), [PROMISE], "forbidden", TIMES)
    assert (found.status, found.active_at_ns, found.fired_at_ns) == ("missed", 18 * NS, None)
    assert status(record()) == "Slow:missed"


def test_an_early_resolve_is_a_hit() -> None:
    assert status(record(Slow=[(18, 23, 30)])) == "Slow:hit"


def test_an_alert_that_fires_again_before_its_deadline_must_resolve_again() -> None:
    assert status(record(Slow=[(18, 23, 30), (40, 45, 47)])) == "Slow:hit"
    assert status(record(Slow=[(18, 23, 30), (40, 45, 55)])) == "Slow:late"


def test_a_deadline_after_the_end_of_the_traffic_is_unknown() -> None:
    short = replace(TIMES, traffic_end_ns=24 * NS)
    assert status(record(), short) == "Slow:unknown"
    assert status(record(Slow=[(18, 23, 99)]), short) == "Slow:unknown"
    only_fires = Expected("Slow", "slow-1", 10)
    assert status(record(Slow=[(18, 23, 99)]), short, only_fires) == "Slow:hit"
    resolving = replace(TIMES, traffic_end_ns=46 * NS)
    assert status(record(Slow=[(18, 23, 45)]), resolving) == "Slow:hit"
    assert status(record(Slow=[(18, 23, 47)]), resolving) == "Slow:unknown"


def test_without_an_injection_nothing_is_known() -> None:
    times = replace(TIMES, faults={"slow-1": FaultTimes(None, None)})
    assert status(record(Slow=[(18, 23, 45)]), times) == "Slow:unknown"


def test_without_removal_or_recovery_the_resolving_is_unknown() -> None:
    lines = record(Slow=[(18, 23, 45)])
    stuck = replace(TIMES, faults={"slow-1": FaultTimes(15 * NS, None)})
    assert status(lines, stuck) == "Slow:unknown"
    assert status(lines, replace(TIMES, recovered_at_ns=None)) == "Slow:unknown"
    unhurt = replace(TIMES, breached_at_ns=None, recovered_at_ns=None)
    assert status(lines, unhurt) == "Slow:hit"


def test_a_record_with_a_hole_proves_no_silence() -> None:
    lines = [line for line in record() if not 16 * NS < line[0] < 24 * NS]
    assert status(lines) == "Slow:unknown"
    assert status([]) == "Slow:unknown"
    at_once = Expected("Slow", "slow-1", 4)
    assert status(record(), promise=at_once) == "Slow:missed"
    lines = [line for line in record() if not 15 * NS <= line[0] <= 19 * NS]
    assert status(lines, promise=at_once) == "Slow:unknown"
    assert status(record(end_s=20)) == "Slow:unknown"


def test_an_alert_that_fired_before_its_own_fault_says_nothing_of_it() -> None:
    faults = {"crowd": FaultTimes(8 * NS, 35 * NS), "slow-1": FaultTimes(15 * NS, 35 * NS)}
    times = replace(TIMES, faults=faults)
    assert status(record(Slow=[(10, 14, 45)]), times) == "Slow:unknown"
    assert status(record(Slow=[(10, 14, 18), (20, 23, 45)]), times) == "Slow:unknown"
    assert status(record(Slow=[(10, 15, 45)]), times) == "Slow:hit"
    assert status(record(Slow=[(9, 10, 13), (18, 23, 45)]), times) == "Slow:hit"
    of_the_crowd = Expected("Slow", "crowd", 10, 10)
    assert status(record(Slow=[(10, 14, 45)]), times, of_the_crowd) == "Slow:hit"


def test_other_alerts_follow_the_policy() -> None:
    lines = record(Slow=[(18, 23, 45)], Other=[(20, 22, 30)])
    assert status(lines) == "Slow:hit Other:false"
    assert status(lines, others="allowed") == "Slow:hit"
    assert status(lines, others=["Other"]) == "Slow:hit"
    assert status(lines, others=["Third"]) == "Slow:hit Other:false"


def test_another_alert_counts_only_between_injection_and_the_end_of_the_traffic() -> None:
    before = record(Slow=[(18, 23, 45)], Watchdog=[(0, 1, 99)])
    assert status(before) == "Slow:hit"
    after = record(end_s=70, Slow=[(18, 23, 45)], NoTraffic=[(61, 62, 99)])
    assert status(after) == "Slow:hit"
    pending = record(Slow=[(18, 23, 45)], Other=[(20, 99, 30)])
    assert status(pending) == "Slow:hit"


def test_a_named_baseline_is_left_out() -> None:
    lines = record(Slow=[(18, 23, 45)], Other=[(20, 22, 30)])
    found = judge_alerts(lines, [PROMISE], "forbidden", TIMES, baseline=["Other"])
    assert [s.alert for s in found] == ["Slow"]


def test_without_faults_every_alert_during_the_traffic_is_false() -> None:
    times = Times(traffic_start_ns=2 * NS, traffic_end_ns=60 * NS)
    lines = record(Other=[(20, 22, 30)], Watchdog=[(0, 1, 99)])
    found = judge_alerts(lines, [], "forbidden", times)
    assert [(s.alert, s.status, s.expected) for s in found] == [("Other", "false", False)]


def of(**promise: object) -> Expected:
    return Expected(**{"alert": "Slow", "of": "slow-1", "fires_within_s": 10.0, **promise})  # type: ignore[arg-type]


def test_only_an_alert_with_its_labels_keeps_a_promise() -> None:
    lines = record(Slow=[(18, 23, 45)])
    assert status(lines, promise=of(labels={"n": "0"})) == "Slow:hit"
    (found,) = judge_alerts(lines, [of(labels={"n": "1"})], "forbidden", TIMES)
    assert found.status == "missed"
    assert found.why.text() == "fired with other labels: n='0'"
    assert status(record(), promise=of(labels={"n": "1"})) == "Slow:missed"


def test_a_promise_may_count_from_the_damage() -> None:
    lines = record(Slow=[(18, 26, 45)])
    damaged = replace(TIMES, damage_at_ns=17 * NS)
    assert status(lines, damaged, of()) == "Slow:late"
    assert status(lines, damaged, of(from_damage=True)) == "Slow:hit"
    assert status(lines, TIMES, of(from_damage=True)) == "Slow:unknown"


def test_an_alert_may_fire_too_soon() -> None:
    lines = record(Slow=[(18, 23, 45)])
    assert status(lines, promise=of(not_before_s=8.0)) == "Slow:hit"
    assert status(lines, promise=of(not_before_s=8.5)) == "Slow:false"


def test_an_alert_that_flaps_breaks_its_count() -> None:
    flapping = record(Slow=[(18, 23, 26), (27, 30, 33), (34, 36, 45)])
    once = record(Slow=[(18, 23, 45)])
    assert status(flapping) == "Slow:hit"
    assert status(flapping, promise=of(count=1)) == "Slow:false"
    assert status(flapping, promise=of(count=3)) == "Slow:hit"
    assert status(once, promise=of(count=1)) == "Slow:hit"
    assert status(once, promise=of(count=2)) == "Slow:missed"


INSTANTS = st.floats(0, 60, allow_nan=False).map(lambda at: round(at, 3))


@given(INSTANTS, INSTANTS | st.none(), INSTANTS, INSTANTS, INSTANTS | st.none())
def test_the_parts_of_the_time_to_detect_add_up_to_the_whole(
    injected: float, damage: float | None, active: float, fired: float, notified: float | None
) -> None:
    alert = AlertOutcome(
        alert="A",
        expected=True,
        status="hit",
        active_at=active,
        fired_at=fired,
        injected_at=injected,
        notified_at=notified,
    )
    parts = dict(alert.delays(damage))
    total = parts.pop("total")
    assert total == pytest.approx(sum(each for each in parts.values() if each is not None))
    assert (parts["routing"] or 0.0) >= 0
    assert (parts["impact"] is None) == (damage is None)
    assert (parts["routing"] is None) == (notified is None)


def test_a_part_that_nobody_saw_is_not_known() -> None:
    parts = AlertOutcome(alert="A", expected=True, status="missed", injected_at=10.0).delays(11.0)
    assert parts == {
        "impact": 1.0,
        "expression": None,
        "pending": None,
        "routing": None,
        "total": None,
    }
