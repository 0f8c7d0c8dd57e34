"""Guards fail closed, and the gate lets no fault into a system that is not in its steady state."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from gameday.core.clock import NS, SystemClock
from gameday.evidence import journal
from gameday.evidence.journal import Journal
from gameday.run import guards
from gameday.run.context import Abort, Run
from gameday.run.guards import GuardWatch
from gameday.run.readings import Readings
from gameday.spec.experiment import Guard
from gameday.telemetry.samples import Evaluation, Truth


def trips(guard: Guard, read: Sequence[Truth]) -> list[str]:
    guarding = GuardWatch(guard, "guard:0")
    return [
        guarding.trips(Evaluation(t_ns=second * NS, readings={"guard:0": value}, alerts=()))
        for second, value in enumerate(read)
    ]


def guard(**more: object) -> Guard:
    return Guard.model_validate({"expr": "x > 1", **more})


def test_a_guard_trips_at_once_without_a_for() -> None:
    assert trips(guard(), [False, True]) == ["", "true"]


def test_a_guard_trips_only_when_true_for_its_whole_for() -> None:
    assert trips(guard(**{"for": "2s"}), [True, True, False, True, True, True])[-3:] == [
        "",
        "",
        "true",
    ]


def test_a_guard_without_data_for_five_seconds_is_blind() -> None:
    assert trips(guard(), [None] * 6) == [""] * 5 + ["blind"]


def test_data_in_between_means_not_blind() -> None:
    assert "blind" not in trips(guard(), [None] * 3 + [False] + [None] * 5)


def test_a_guard_may_be_told_to_ignore_blindness() -> None:
    assert trips(guard(blind="ignore"), [None] * 20) == [""] * 20


@pytest.mark.parametrize("value", [False, True])
def test_a_missing_name_reads_as_no_data(value: bool) -> None:
    guarding = GuardWatch(guard(), "guard:1")
    assert guarding.trips(Evaluation(t_ns=0, readings={"guard:0": value}, alerts=())) == ""


@pytest.mark.parametrize(
    ("killed", "ended"), [(True, "interrupted"), (False, "error")], ids=["killed", "crashed"]
)
async def test_a_dead_reaper_ends_the_run(tmp_path: Path, killed: bool, ended: str) -> None:
    async def was_killed() -> bool:
        return killed

    book = Journal(tmp_path / "journal.jsonl", SystemClock(), "m1")
    alive = SimpleNamespace(name="collector", died=False)
    dead = SimpleNamespace(
        name="reaper",
        died=True,
        why=lambda: "it ended with exit code 1",
        last_words=lambda: "out of memory",
        was_killed=was_killed,
    )
    run = watched(book, alive, dead)
    await guards.children(cast("Run", run))
    assert (run.abort.ended, run.abort.why) == (
        ended,
        "the reaper died: it ended with exit code 1",
    )
    book.close()
    assert [r.data["why"] for r in journal.read(book.path).records] == ["out of memory"]


async def test_a_silent_collector_interrupts_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "SILENT_S", 0.05)
    monkeypatch.setattr(guards, "LOOK_S", 0.01)
    book = Journal(tmp_path / "journal.jsonl", SystemClock(), "m1")
    alive = SimpleNamespace(name="collector", died=False)
    run = watched(book, alive, alive)
    await guards.children(cast("Run", run))
    book.close()
    assert (run.abort.ended, run.abort.why) == ("interrupted", "the collector fell silent")


def watched(book: Journal, alive: SimpleNamespace, reaper: SimpleNamespace) -> SimpleNamespace:
    return SimpleNamespace(
        clock=SystemClock(),
        dir=book.path.parent,
        readings=Readings(SystemClock()),
        traffic=SimpleNamespace(child=alive, refused=""),
        collector=alive,
        reaper=reaper,
        journal=book,
        abort=Abort(),
    )
