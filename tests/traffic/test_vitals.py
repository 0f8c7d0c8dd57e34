"""How the workers were: what they note, what is read of it, and what it explains."""

import asyncio
import gc
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gameday.core.clock import SystemClock
from gameday.evidence.model import Evidence
from gameday.evidence.read import read as read_evidence
from gameday.judge import checks
from gameday.judge.verdict import Validity, Verdict
from gameday.traffic import vitals
from gameday.traffic.history import RECORD, History, Outcome, Reason
from gameday.traffic.metrics import generator
from gameday.traffic.metrics.generator_causes import TimeSpan, causes, core_share, stood_still_ms
from gameday.traffic.metrics.vu_occupancy import occupancies
from gameday.traffic.schedule.scenario_json import from_json
from gameday.traffic.vitals import HealthSample, Stall, Vitals, WorkerSample
from gameday.traffic.worker.self_metrics import SelfMetrics
from tests.support.due_times import due_times
from tests.support.rundirs import RUN, RunDir
from tests.traffic.test_metrics import header

T0 = 5_000_000_000
SECOND = 1_000_000_000
SPAN = TimeSpan(0, 5)


def worker_samples(**grows: Any) -> tuple[WorkerSample, ...]:
    """Six beats, one a second; each sum grows by so much a second."""
    return tuple(
        WorkerSample(
            who="worker-0", t_s=float(t), **{name: each * t for name, each in grows.items()}
        )
        for t in range(6)
    )


def stalled(*stalls: Stall, **grows: Any) -> Vitals:
    told = worker_samples(**grows)
    last = WorkerSample(who="worker-0", t_s=6.0, stalls=stalls)
    return Vitals((*told, last))


def test_a_file_is_read_up_to_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "vitals.jsonl"
    assert vitals.read(path) == Vitals()
    beat = {"who": "worker-1", "t": 1.0, "open": 3, "cpu_s": 0.5, "stalls": [[0.4, 12.5]]}
    chirp = {"who": "canary", "t": 1.2, "took_ms": None, "lag_ms": 3.0}
    path.write_text("".join(json.dumps(line) + "\n" for line in (beat, chirp)) + '{"who": "wor')
    told: list[str] = []
    found = vitals.read(path, told.append)
    assert told == ["line 3 cannot be read"]
    assert found.worker_samples == (
        WorkerSample(who="worker-1", t_s=1.0, open=3, cpu_s=0.5, stalls=(Stall(0.4, 12.5),)),
    )
    assert found.health_samples == (HealthSample(t_s=1.2, took_ms=None, lag_ms=3.0),)


@pytest.mark.parametrize(
    ("grows", "says"),
    [
        ({"waited_s": 0.4}, "it waited 2.00 s for a processor"),
        ({"throttled_s": 0.9}, "its control group was throttled for"),
        ({"stolen_s": 0.2}, "other machines took 1.00 s of the processors"),
        ({"gc_s": 0.1}, "it collected garbage for 0.50 s"),
        ({"cpu_s": 0.97}, "it used 4.85 s of a core"),
    ],
)
def test_a_cause_is_named(grows: dict[str, float], says: str) -> None:
    (told,) = causes(Vitals(worker_samples(**grows)), SPAN)
    assert says in str(told)
    assert (
        causes(Vitals(worker_samples(**{name: each / 100 for name, each in grows.items()})), SPAN)
        == []
    )


def test_a_stall_is_named_unless_the_kernel_explains_it() -> None:
    stop = Stall(2.0, 1000.0)
    signs = Vitals((*worker_samples()[:3], WorkerSample(who="worker-0", t_s=3.0, stalls=(stop,))))
    assert "it stood still for 1000 ms at 2.0 s" in str(causes(signs, SPAN)[0])
    waited = WorkerSample(who="worker-0", t_s=3.0, stalls=(stop,), waited_s=0.99)
    told = causes(Vitals((*worker_samples()[:3], waited)), SPAN)
    assert len(told) == 1
    assert "it waited 0.99 s" in str(told[0])


def test_the_canary_says_how_the_system_was() -> None:
    quick = [HealthSample(t_s=n / 5, took_ms=2.0 + n / 100) for n in range(25)]
    assert "answered in 2.2 ms (p95) meanwhile" in str(causes(Vitals((), quick), SPAN)[0])
    silent = [HealthSample(t_s=n / 5, took_ms=None) for n in range(25)]
    assert "got 0 answers of 25" in str(causes(Vitals((), silent), SPAN)[0])
    assert causes(Vitals((), quick[:3]), SPAN) == []


def test_the_worst_worker_counts() -> None:
    still = WorkerSample(who="worker-1", t_s=5.0, stalls=(Stall(1.0, 300.0), Stall(2.0, 40.0)))
    signs = Vitals((*worker_samples(cpu_s=0.5), WorkerSample(who="worker-1", t_s=0.0), still))
    assert stood_still_ms(signs, SPAN, 50.0) == 250.0
    assert core_share(signs, SPAN) == pytest.approx(0.5)


def history_of(spec: dict[str, Any], records: Any) -> History:
    return History(header(spec=spec), len(records), records)


def virtual_users(most: int, per_s: int, took_s: float, sleep_s: float) -> History:
    """4 s of a scenario whose users are all busy until one comes back."""
    spec: dict[str, Any] = {"executor": "constant-arrival-rate", "duration": "4s"}
    spec |= {"rate": f"{per_s}/s", "preAllocatedVUs": most, "maxVUs": most, "sleep": f"{sleep_s}s"}
    due = due_times(from_json(spec)) + T0
    records = np.zeros(len(due), dtype=RECORD)
    records["k"], records["intended_ns"] = np.arange(len(due)), due
    free = [0] * most
    for record in records:
        at = free.index(min(free))
        if free[at] > record["intended_ns"]:
            record["outcome"], record["reason"] = Outcome.DROPPED, Reason.NO_VUS
            continue
        record["sent_ns"] = record["intended_ns"]
        record["ended_ns"] = record["sent_ns"] + round(took_s * SECOND)
        free[at] = int(record["ended_ns"]) + round(sleep_s * SECOND)
    return history_of(spec, records)


def test_sleeping_users_are_ours() -> None:
    history = virtual_users(10, 100, 0.01, 1.0)
    (told,) = occupancies([history], 200.0)
    assert told.all_busy > 0.8
    assert told.think > 0.95
    assert not told.held_by_system
    found = generator([history], 200.0)
    assert found.status == "limited"
    assert "so they can start at most 10/s" in " ".join(map(str, found.reasons))
    assert found.speaks_up_to_per_s == pytest.approx(10, rel=0.05)


def test_users_held_by_the_system_are_its_doing_and_the_run_is_degraded() -> None:
    history = virtual_users(50, 100, 3.0, 0.0)
    (told,) = occupancies([history], 200.0)
    assert told.server > 0.99
    assert told.enough == 20
    found = generator([history], 200.0)
    assert found.status == "degraded"
    assert "as the system held all 50; 20 are enough" in str(found.reasons[0])


def test_too_few_users_for_a_system_in_time_are_ours_even_if_it_is_slow() -> None:
    found = generator([virtual_users(10, 100, 3.0, 0.0)], 200.0)
    assert found.status == "limited"


def test_one_scenario_that_is_short_of_users_limits_a_run_of_many_starts() -> None:
    few = virtual_users(1, 10, 0.01, 1.0)
    spec = {"executor": "constant-arrival-rate", "rate": "1000/s", "duration": "4s"}
    due = due_times(from_json(spec)) + T0
    records = np.zeros(len(due), dtype=RECORD)
    records["k"], records["intended_ns"], records["sent_ns"] = np.arange(len(due)), due, due
    many = History(header(spec=spec, scenario="many"), len(records), records)
    found = generator([few, many], 200.0)
    assert found.status == "limited"
    assert "of the starts of 'drop' due" in str(found.reasons[0])
    assert generator([many], 200.0).status == "kept"


def closed_loop() -> History:
    spec = {"executor": "constant-vus", "vus": 5, "duration": "5s"}
    records = np.zeros(500, dtype=RECORD)
    records["k"] = np.arange(500)
    records["intended_ns"] = records["sent_ns"] = T0 + np.arange(500) * 10_000_000
    records["ended_ns"] = records["sent_ns"] + 5_000_000
    return history_of(spec, records)


def test_users_without_due_times_are_limited_by_stalls_and_by_a_full_core() -> None:
    history = closed_loop()
    until = T0 + 5 * SECOND
    assert generator([history], 200.0, until_ns=until).status == "kept"
    long = generator([history], 200.0, vitals=stalled(Stall(2.0, 1000.0)))
    assert long.status == "limited"
    assert "stood still" in str(long.reasons[0])
    short = generator([history], 200.0, vitals=stalled(Stall(2.0, 150.0)))
    assert short.status == "degraded"
    none = generator([history], 200.0, vitals=stalled(Stall(2.0, 40.0)))
    assert none.status == "kept"
    full = generator([history], 200.0, vitals=Vitals(worker_samples(cpu_s=0.98)))
    assert full.status == "limited"
    assert "core was full" in str(full.reasons[0])


def test_a_full_core_that_keeps_its_schedule_is_kept() -> None:
    history = virtual_users(500, 100, 0.01, 0.0)
    assert generator([history], 200.0, vitals=Vitals(worker_samples(cpu_s=0.98))).status == "kept"


async def test_a_process_notes_its_own_signs(tmp_path: Path) -> None:
    clock = SystemClock()
    t0_ns = clock.now_ns()
    self_metrics = SelfMetrics(clock)
    try:
        before = self_metrics.sample(t0_ns, t0_ns)
        gc.collect()
        burnt = time.process_time() + 0.05
        while time.process_time() < burnt:
            await asyncio.sleep(0)
        self_metrics.stood_still(clock.now_ns(), 25_000_000)
        self_metrics.stood_still(clock.now_ns(), 2_000_000)
        after = self_metrics.sample(t0_ns, clock.now_ns())
    finally:
        self_metrics.close()
    assert after.cpu_s - before.cpu_s > 0.03
    assert after.gc_s >= before.gc_s
    assert [ms for _, ms in after.stalls] == [25.0]
    assert self_metrics.sample(t0_ns, t0_ns).stalls == ()
    path = tmp_path / "vitals.jsonl"
    path.write_bytes(vitals.line(after))
    assert vitals.read(path) == Vitals((after,))
    if Path("/proc/self/schedstat").exists():
        assert after.waited_s >= 0


def judged(folder: Path, *lines: str) -> tuple[Evidence, Verdict]:
    run = RunDir().write(folder / RUN)
    (run / "vitals.jsonl").write_text("".join(lines))
    read = read_evidence(run)
    said = checks.run("generator", checks.CHECKS["generator"], read)
    assert isinstance(said, Verdict)
    return read, said


def test_a_run_is_judged_by_the_signs_in_its_directory(tmp_path: Path) -> None:
    still = {"who": "worker-0", "t": 12.0, "open": 0, "stalls": [[11.5, 900.0]]}
    _, said = judged(tmp_path, json.dumps({"who": "worker-0", "t": 0}) + "\n", json.dumps(still))
    assert said.validity is Validity.UNKNOWN
    assert said.summary.startswith("limited above 10/s")
    assert "it stood still for 900 ms at 11.5 s" in said.summary


def test_torn_signs_are_named_as_missing_evidence(tmp_path: Path) -> None:
    read, said = judged(tmp_path, json.dumps({"who": "worker-0", "t": 0}) + "\n", '{"who')
    assert read.problems["vitals"] == "line 2 cannot be read"
    assert said.validity is Validity.VALID
