"""The journal: what was written is what is read, however the file was cut or altered."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday import journal
from gameday.clock import SystemClock
from gameday.journal import Journal


def written(folder: Path, events: int = 5) -> Path:
    path = folder / "journal.jsonl"
    path.unlink(missing_ok=True)
    book = Journal(path, SystemClock(), "m1")
    for number in range(events):
        book.write("fault.injecting", id=f"f{number}", undo=[{"kind": "toxic"}])
    book.close()
    return path


def test_what_was_written_is_read_back_in_order(tmp_path: Path) -> None:
    read = journal.read(written(tmp_path))
    assert [r.data["id"] for r in read.records] == ["f0", "f1", "f2", "f3", "f4"]
    assert [r.seq for r in read.records] == [0, 1, 2, 3, 4]
    assert read.damage == ""


@given(st.integers(min_value=0, max_value=2000))
def test_a_journal_cut_anywhere_yields_its_valid_prefix(cut: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder))
        raw = path.read_bytes()
        path.write_bytes(raw[: min(cut, len(raw))])
        read = journal.read(path)
        whole = raw[:cut].count(b"\n")
        assert len(read.records) == whole
        assert bool(read.damage) == (not raw[:cut].endswith(b"\n") and cut > 0)


def test_an_altered_line_ends_the_valid_prefix(tmp_path: Path) -> None:
    path = written(tmp_path)
    lines = path.read_text().splitlines()
    altered = json.loads(lines[2])
    altered["id"] = "another"
    lines[2] = json.dumps(altered)
    path.write_text("\n".join(lines) + "\n")
    read = journal.read(path)
    assert len(read.records) == 3
    assert "line 4" in read.damage


def test_a_line_taken_out_is_noticed(tmp_path: Path) -> None:
    path = written(tmp_path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:1] + lines[2:]) + "\n")
    read = journal.read(path)
    assert len(read.records) == 1
    assert "line 2" in read.damage


async def test_a_durable_record_is_on_the_disk_when_it_returns(tmp_path: Path) -> None:
    book = Journal(tmp_path / "journal.jsonl", SystemClock(), "m1")
    record = await book.write_durably("fault.removed", id="f", gone=True)
    assert journal.read(book.path).records == (record,)
    book.close()


async def test_a_full_disk_is_told_once_and_stops_nobody() -> None:
    told: list[str] = []
    book = Journal(Path("/dev/full"), SystemClock(), "m1", told.append)
    book.write("fault.removing", id="f")
    await book.write_durably("fault.removed", id="f", gone=True)
    book.close()
    assert told == ["/dev/full cannot be written: No space left on device"]
    assert book.problem == told[0]


def test_a_full_disk_is_an_error_where_nobody_listens() -> None:
    book = Journal(Path("/dev/full"), SystemClock(), "m1")
    with pytest.raises(OSError, match="No space left"):
        book.write("run.started")
    book.close()
