"""The sealed box: nothing of it can be read, or moved, without its key, and all of it with it."""

from pathlib import Path

import pytest

from gameday.core.clock import SystemClock
from gameday.core.secrets.signing import SigningKey
from gameday.evidence import journal, provenance, sealed_inputs
from gameday.evidence.events import (
    EVENTS,
    DrillDebriefed,
    FaultInjected,
    FaultRemoved,
    OrderGiven,
    Phase,
    RunStarted,
    Sealed,
)
from gameday.evidence.journal import Journal
from gameday.evidence.sealed_box import FOR_TRAINEES, Box, is_for_trainees
from tests.support.events import event_of

SECRET = "network-latency-redis"
KEY = SigningKey(b"a key of the tests and nobody's.")


def drilled(folder: Path, *, debriefed: bool = False) -> tuple[Path, Box]:
    folder.mkdir(exist_ok=True)
    box, path = Box.new(), folder / "journal.jsonl"
    book = Journal(path, SystemClock(), "m1")
    book.key, book.box = KEY, box
    book.write(event_of("run.started", run=folder.name, controller=None, allowed=[]))
    book.write(FaultInjected(id=SECRET))
    book.write(event_of("order.given", order="ack", by="me", through="person"))
    book.write(FaultRemoved(id=SECRET, gone=True))
    if debriefed:
        book.write(DrillDebriefed(key=box.text))
    book.close()
    return path, box


def test_a_trainee_reads_orders_and_nothing_of_the_fault(tmp_path: Path) -> None:
    path, _ = drilled(tmp_path / "r")
    raw = path.read_bytes()
    assert SECRET.encode() not in raw
    assert b"fault." not in raw
    read = journal.read(path)
    assert not read.damage
    assert [type(each.event) for each in read.records] == [RunStarted, Sealed, OrderGiven, Sealed]
    assert [each.audience for each in read.records] == ["all", "facilitator", "all", "facilitator"]


def test_the_key_opens_all_of_it_whether_it_is_given_or_told(tmp_path: Path) -> None:
    path, box = drilled(tmp_path / "r")
    assert journal.read(path, box).records[1].event == FaultInjected(id=SECRET)
    path, _ = drilled(tmp_path / "s", debriefed=True)
    assert journal.read(path).records[3].event == FaultRemoved(id=SECRET, gone=True)


def test_the_reaper_of_a_killed_drill_tells_the_key_in_its_own_file(tmp_path: Path) -> None:
    path, box = drilled(tmp_path / "r")
    reaper = Journal(path.with_name("reaper.jsonl"), SystemClock(), "m1")
    reaper.key, reaper.box = KEY, box
    reaper.write(FaultRemoved(id=SECRET, gone=True))
    assert provenance.read(path.parent, KEY).sealed == 3
    reaper.write(DrillDebriefed(key=box.text))
    reaper.close()
    read = provenance.read(path.parent, KEY)
    assert read.sealed == 0
    assert read.later[0].event == FaultRemoved(id=SECRET, gone=True)
    assert read.journal[1].event == FaultInjected(id=SECRET)


def test_another_key_another_line_and_another_run_open_nothing(tmp_path: Path) -> None:
    path, box = drilled(tmp_path / "r")
    assert isinstance(journal.read(path, Box.new()).records[1].event, Sealed)
    other = tmp_path / "other" / "journal.jsonl"
    other.parent.mkdir()
    other.write_bytes(path.read_bytes())
    assert isinstance(journal.read(other, box).records[1].event, Sealed)
    text = journal.read(path).records[1].event
    assert isinstance(text, Sealed)
    with pytest.raises(ValueError, match="another"):
        box.open_event(text, "r/journal.jsonl/3")


def test_the_length_of_a_box_does_not_tell_what_is_in_it() -> None:
    box = Box.new()
    short, long = FaultInjected(id="f1"), FaultInjected(id="f" * 300)
    told = [box.seal_event(each, "place") for each in (short, long)]
    assert len(told[0].box) == len(told[1].box)


def test_what_is_not_named_is_the_facilitators() -> None:
    assert EVENTS.keys() >= FOR_TRAINEES
    kinds = {kind for kind in EVENTS if kind.startswith(("fault.", "reaper.", "guard.", "worker."))}
    assert not kinds & FOR_TRAINEES
    for kind in ("drill.planned", "drill.truth", "drill.hint_planned", "drill.inject_planned"):
        assert kind not in FOR_TRAINEES
    assert is_for_trainees(Phase(phase="traffic", t0_ns=1))
    assert not is_for_trainees(Phase(phase="recovering"))
    assert not is_for_trainees(Phase(phase="preflight", service="redis", before_ms=1.0))
    assert not is_for_trainees(Phase(phase="stack", problem="redis has ended"))


def test_inputs_are_one_file_until_they_are_unpacked(tmp_path: Path) -> None:
    box = Box.new()
    sealed_inputs.pack(tmp_path, box, {"experiment.yaml": SECRET.encode(), "rules/a.yml": b"x"})
    assert SECRET.encode() not in (tmp_path / "inputs.sealed").read_bytes()
    assert not (tmp_path / "inputs").exists()
    with pytest.raises(ValueError, match="another"):
        sealed_inputs.unpack(tmp_path, Box.new())
    sealed_inputs.unpack(tmp_path, box)
    assert (tmp_path / "inputs" / "experiment.yaml").read_text() == SECRET
    assert (tmp_path / "inputs" / "rules" / "a.yml").read_bytes() == b"x"
    assert not (tmp_path / "inputs.sealed").exists()
    sealed_inputs.unpack(tmp_path, box)


def test_inputs_are_never_unpacked_elsewhere(tmp_path: Path) -> None:
    box = Box.new()
    sealed_inputs.pack(tmp_path, box, {"../outside": b"x"})
    with pytest.raises(ValueError, match="no file below"):
        sealed_inputs.unpack(tmp_path, box)
    assert not (tmp_path / "outside").exists()
