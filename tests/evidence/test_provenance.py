"""Who wrote a record: forged, copied, altered and missing ones are none of ours."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from gameday.core.clock import SystemClock
from gameday.core.secrets.signing import SigningKey
from gameday.evidence import journal, provenance
from gameday.evidence.events import from_json
from gameday.evidence.journal import Journal
from gameday.evidence.journal_lengths import Length, noted, noted_runs
from gameday.injection.heal import left_behind
from tests.support.events import event_of
from tests.support.signed import KEY, signed

TOXIC = {"kind": "toxic", "url": "http://127.0.0.1:1", "proxy": "p", "name": "gameday-r-1"}
INJECTING = ("fault.injecting", {"id": "f", "undo": [TOXIC]})
REMOVED = ("fault.removed", {"id": "f", "gone": True})
ENDED = ("run.ended", {"ended": "completed"})


def write(path: Path, *events: tuple[str, dict[str, Any]], key: SigningKey | None = KEY) -> Path:
    path.parent.mkdir(exist_ok=True)
    book = Journal(path, SystemClock(), "m1") if key is None else signed(path, key)
    for event, data in events:
        book.write(event_of(event, **data))
    book.close()
    return path


def due(run: Path) -> list[str]:
    read = provenance.read(run, KEY)
    return [left.name for left in left_behind([*read.journal, *read.later])]


def test_a_signed_journal_reads_as_any_other(tmp_path: Path) -> None:
    path = write(tmp_path / "r" / "journal.jsonl", INJECTING, REMOVED)
    read = journal.read(path)
    assert read.damage == ""
    assert read.records[0].event == from_json(*INJECTING)
    assert list(read.records) == list(provenance.read(path.parent, KEY).journal)


@pytest.mark.parametrize("forged", [REMOVED, ENDED])
def test_what_is_not_signed_calms_nobody(tmp_path: Path, forged: Any) -> None:
    run = write(tmp_path / "r" / "journal.jsonl", INJECTING).parent
    write(run / "journal.jsonl", forged, key=None)
    write(run / "reaper.jsonl", forged, key=None)
    write(run / "healed-1.jsonl", forged, key=SigningKey(b"o" * 32))
    assert due(run) == ["f"]
    assert provenance.read(run, KEY).why_foreign


def test_a_line_that_was_put_in_hides_none_of_the_others(tmp_path: Path) -> None:
    path = write(tmp_path / "r" / "journal.jsonl", INJECTING, ("fault.injected", {"id": "f"}))
    first, second, _ = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([b"garbage", b'{"seq": 0}', second, b"[" * 9_999, first, b""]))
    read = provenance.read(path.parent, KEY)
    assert [record.seq for record in read.journal] == [0, 1]
    assert not read.unknown
    assert any("3 lines are no records" in note for note in read.notes)


def test_a_record_that_is_missing_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "r" / "journal.jsonl", ("phase", {}), INJECTING, ("phase", {}))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2])
    assert "the signed record 1 is not there" in provenance.read(path.parent, KEY).unknown


def test_a_copy_is_refused_in_another_run_file_or_place(tmp_path: Path) -> None:
    path = write(tmp_path / "r" / "journal.jsonl", INJECTING, REMOVED)
    for name in ("r/reaper.jsonl", "r/healed-1.jsonl", "s/journal.jsonl", "s/reaper.jsonl"):
        copy = tmp_path / name
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(path, copy)
    assert provenance.read(path.parent, KEY).later == []
    read = provenance.read(tmp_path / "s", KEY)
    assert (read.journal, read.later) == ([], [])
    assert read.why_foreign == "altered, or copied from another run or file"


def test_a_run_that_was_moved_whole_is_still_ours_and_a_renamed_one_is_not(tmp_path: Path) -> None:
    run = write(tmp_path / "r" / "journal.jsonl", INJECTING).parent
    (tmp_path / "archive").mkdir()
    moved = Path(shutil.move(run, tmp_path / "archive"))
    assert len(provenance.read(moved, KEY).journal) == 1
    renamed = moved.rename(tmp_path / "another")
    assert provenance.read(renamed, KEY).journal == []


def test_a_signature_of_another_key_is_told_from_none(tmp_path: Path) -> None:
    run = write(tmp_path / "r" / "journal.jsonl", INJECTING, key=SigningKey(b"o" * 32)).parent
    assert f"yours is {KEY.name}" in provenance.read(run, KEY).why_foreign
    assert "there is no key here" in provenance.read(run, None).why_foreign
    old = write(tmp_path / "old" / "journal.jsonl", INJECTING, key=None).parent
    assert provenance.read(old, KEY).why_foreign == "not signed"


def test_an_altered_record_is_not_obeyed_whatever_its_sums_say(tmp_path: Path) -> None:
    path = write(tmp_path / "r" / "journal.jsonl", INJECTING)
    line = path.read_bytes().replace(b"127.0.0.1:1", b"127.0.0.1:2")
    path.write_bytes(line)
    assert due(path.parent) == []
    body = json.loads(line)
    body.pop("crc")
    path.write_bytes(journal.sealed(json.dumps(body).encode()) + b"\n")
    assert len(journal.read(path).records) == 1
    assert due(path.parent) == []


def test_one_who_vouches_for_a_run_takes_it_at_its_word(tmp_path: Path) -> None:
    run = write(tmp_path / "r" / "journal.jsonl", INJECTING, key=None).parent
    assert len(left_behind(provenance.vouched(run).journal)) == 1
    write(run / "reaper.jsonl", REMOVED, key=None)
    assert [record.event.kind for record in provenance.vouched(run).later] == ["fault.removed"]


async def test_a_journal_whose_end_was_cut_off_is_noticed(tmp_path: Path) -> None:
    """What was on the disk is noted beside the key, before anything is done about it."""
    path = tmp_path / "r" / "journal.jsonl"
    path.parent.mkdir()
    book = signed(path)
    book.length = Length(tmp_path, "r")
    book.write(event_of("run.started", run="r"))
    await book.write_durably(event_of("fault.injecting", id="f", undo=[TOXIC]))
    book.write(event_of("phase", phase="late"))
    book.close()
    assert noted(tmp_path, "r") == 2
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]))
    assert provenance.read(path.parent, KEY, tmp_path).unknown == ""
    for cut in (lines[0], lines[0] + lines[1][:-9], b""):
        path.write_bytes(cut)
        assert "cut off: 2 signed records" in provenance.read(path.parent, KEY, tmp_path).unknown


@pytest.mark.parametrize("text", ["", "5", "x" * 21, "-0000000000000000001\n", "9" * 400])
def test_a_note_that_makes_no_sense_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "journals").mkdir()
    (tmp_path / "journals" / "r").write_text(text)
    assert noted(tmp_path, "r") == 0
    assert noted(tmp_path, "../../x") == 0


def test_old_notes_are_forgotten(tmp_path: Path) -> None:
    Length(tmp_path, "old").close()
    os.utime(tmp_path / "journals" / "old", (0, 0))
    Length(tmp_path, "new").close()
    assert noted_runs(tmp_path) == ["new"]
