"""Live drills, whole: a real fault that nobody at rest can read of, worked by orders alone."""

import json
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gameday.evidence import journal, provenance
from gameday.evidence.events import (
    DrillDebriefed,
    DrillHint,
    DrillInject,
    DrillJoined,
    DrillStarted,
    FaultInjected,
    FaultRemoved,
    OrderGiven,
    RunEnded,
    Sealed,
)
from gameday.evidence.read import read
from gameday.judge.judge import judge
from tests.support.live_drills import MARK, Copy, copied, found_at_rest, held, short_folder, words

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as found:
        (found / "files").mkdir()
        yield found


def test_a_drill_is_blind_to_its_debrief_and_ends_with_the_all_clear(folder: Path) -> None:
    copy = copied("redis-slow", folder / "files", lasts_s=60)
    with held(copy.path, folder / "d") as drill:
        drill.until("fault.injected")
        assert not found_at_rest(drill, words(copy))
        first = (drill.dir() / "samples.jsonl").read_text().partition("\n")[0]
        known = {labels.get("scenario") for _, labels in json.loads(first)["series"]}
        assert known - {None} == {"s1", "s2", "s3"}, "whether a fault adds one is not told"
        seen = journal.read(drill.dir() / "journal.jsonl").records
        assert any(isinstance(each.event, Sealed) for each in seen)

        for order in (["ack"], ["declare", "1"], ["act", "redis-slow:1"], ["mitigated"]):
            assert drill.order(*order).returncode == 0, order
        assert drill.order("act", "1").returncode == 2, "one of several playbooks is to be named"
        assert drill.say("drill", "hint").returncode == 2, "that is the facilitator's"
        for said in (["hint"], ["inject", "the shop calls"], ["pause"], ["resume"]):
            assert drill.facilitate(*said).returncode == 0, said
        drill.until("fault.removed")
        assert not found_at_rest(drill, words(copy))
        assert drill.order("resolve").returncode == 0
        assert drill.finish() in (0, 1, 3), drill.output.read_text()
    _is_a_whole_run(drill.dir(), copy)


def _is_a_whole_run(run: Path, copy: Copy) -> None:
    """After the debrief nothing is sealed, and everything bears its own name."""
    records = journal.read(run / "journal.jsonl").records
    events = [each.event for each in records]
    for kind in (DrillHint, DrillInject, DrillJoined, DrillDebriefed, FaultInjected, RunEnded):
        assert any(isinstance(event, kind) for event in events), kind
    assert not any(isinstance(event, Sealed) for event in events)
    offered = next(e.hypotheses for e in events if isinstance(e, DrillStarted))
    declared = next(e.text for e in events if isinstance(e, OrderGiven) and e.order == "declare")
    assert declared == offered[0], "a number is told in words"
    assert next(e for e in events if isinstance(e, RunEnded)).ended == "completed"
    evidence = read(run)
    assert evidence.problems == {}
    fault = evidence.planned_faults[0]
    assert fault.gone
    assert MARK in fault.id, "after the debrief the fault bears its own name again"
    assert evidence.timeline.steps[0].name == "step redis-slow:1"
    assert {one.scenario for one in evidence.histories} == {"drop"}
    result = judge(evidence)
    assert result.experiment == copy.experiment.name
    assert (run / "inputs" / "experiment.yaml").read_bytes() == copy.path.read_bytes()
    assert not (run / "inputs.sealed").exists()


def test_the_fault_of_a_killed_drill_comes_out_and_its_key_is_told(folder: Path) -> None:
    copy = copied("redis-slow", folder / "files", lasts_s=60)
    with held(copy.path, folder / "d") as drill:
        drill.until("fault.injected")
        run = drill.dir()
        drill.process.kill()
        drill.process.wait()
        reaper = run / "reaper.jsonl"
        drill.key_file.unlink()

        def is_debriefed() -> bool:
            told = journal.read(reaper).records if reaper.exists() else ()
            return any(isinstance(each.event, DrillDebriefed) for each in told)

        _until(is_debriefed)
    found = provenance.vouched(run)
    assert found.sealed == 0
    assert any(isinstance(each.event, FaultInjected) for each in found.journal)
    assert any(isinstance(e.event, FaultRemoved) and e.event.gone for e in found.later)
    _until((run / "inputs" / "experiment.yaml").exists)
    assert drill.say("heal").returncode == 0
    assert drill.say("report", run.name).returncode != 2


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux sets limits of another process")
def test_a_key_that_the_journal_has_no_room_for_is_told_by_the_reaper(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # the limit would cut those files off, too
    copy = copied("redis-slow", folder / "files", lasts_s=60)
    with held(copy.path, folder / "d") as drill:
        drill.until("fault.injected")
        size = (drill.dir() / "journal.jsonl").stat().st_size
        resource.prlimit(drill.process.pid, resource.RLIMIT_FSIZE, (size, size))
        drill.key_file.unlink()
        assert drill.finish() == 6, drill.output.read_text()
    assert provenance.vouched(drill.dir()).sealed == 0
    assert (drill.dir() / "inputs" / "experiment.yaml").exists()
    healed = drill.say("heal")
    assert healed.returncode == 0, healed.stderr


def test_an_aborted_drill_takes_its_fault_out_and_tells_everything(folder: Path) -> None:
    copy = copied("redis-down", folder / "files", lasts_s=60)
    with held(copy.path, folder / "d") as drill:
        drill.until("fault.injected")
        done = drill.facilitate("abort")
        assert done.returncode == 0, done.stderr
        assert "no fault is in" in done.stdout
        drill.finish()
    assert read(drill.dir()).planned_faults[0].gone


def test_where_nothing_comes_the_all_clear_ends_it(folder: Path) -> None:
    copy = copied("redis-slow", folder / "files", lasts_s=60)
    with held(copy.path, folder / "d", "--maybe-nothing", "1") as drill:
        drill.until("phase")
        drill.wait(lambda: _seconds(drill.dir()) > 12, "the end of the window")
        assert drill.order("resolve").returncode == 0
        drill.finish()
    evidence = read(drill.dir())
    assert evidence.timeline.ended == "completed"
    assert not evidence.timeline.faults
    assert evidence.experiment.name == copy.experiment.name


def _seconds(run: Path) -> float:
    """Seconds of traffic that the trainee's readings tell of."""
    from gameday.evidence.timeline import traffic_begin_ns
    from gameday.telemetry import samples

    path = run / "samples.jsonl"
    t0_ns = traffic_begin_ns(journal.read(run / "journal.jsonl").records)
    lines = list(samples.read(path)) if path.exists() else []
    return -1.0 if t0_ns is None or not lines else (lines[-1].t_ns - t0_ns) / 1e9


def _until(condition: object) -> None:
    import time

    assert callable(condition)
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
