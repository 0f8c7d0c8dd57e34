"""The journal: what was written is what is read, however the file was cut or altered."""

import asyncio
import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.core.clock import SystemClock
from gameday.core.files.append_log import LINES_WAITING
from gameday.evidence import journal
from gameday.evidence.events import FaultRemoved, FaultRemoving, Phase, StackStarting
from gameday.evidence.journal import Journal, LiveJournal
from tests.support.events import event_of


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MiB; only root may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(path: Path) -> None:
    """Take all the room that is left."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def first_lines(file: int, number: int) -> list[bytes]:
    """So many lines of a pipe, as they come."""
    os.set_blocking(file, True)
    raw = b""
    while raw.count(b"\n") < number:
        raw += os.read(file, 65536)
    return raw.splitlines()


async def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        await asyncio.sleep(0.01)


def written(folder: Path, events: int = 5) -> Path:
    path = folder / "journal.jsonl"
    path.unlink(missing_ok=True)
    book = Journal(path, SystemClock(), "m1")
    for number in range(events):
        book.write(event_of("fault.injecting", id=f"f{number}", undo=[{"kind": "toxic"}]))
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
    assert len(read.records) == 2
    assert "line 3" in read.damage


def test_the_last_line_is_vouched_for_too(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"f4"', b'"f5"'))
    assert len(journal.read(path).records) == 4


def test_an_altered_line_with_a_sum_of_its_own_does_not_fit_the_next(tmp_path: Path) -> None:
    path, other = written(tmp_path), tmp_path / "other"
    other.mkdir()
    lines, others = path.read_bytes().splitlines(), written(other).read_bytes().splitlines()
    path.write_bytes(b"\n".join([lines[0], others[1], *lines[2:], b""]))
    read = journal.read(path)
    assert len(read.records) == 1
    assert read.damage == "line 2 does not follow the line before it"


def test_a_number_that_no_double_can_hold_ends_the_valid_prefix(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    book = Journal(path, SystemClock(), "host")
    book.write(event_of("phase", most_s=10 ** (journal.MOST_DIGITS - 1)))
    book.write(event_of("phase", most_s=10**journal.MOST_DIGITS))
    book.close()
    read = journal.read(path)
    assert len(read.records) == 1
    assert read.damage == "line 2 cannot be read"


def test_a_line_taken_out_is_noticed(tmp_path: Path) -> None:
    path = written(tmp_path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:1] + lines[2:]) + "\n")
    read = journal.read(path)
    assert len(read.records) == 1
    assert "line 2" in read.damage


async def test_a_durable_record_is_on_the_disk_when_it_returns(tmp_path: Path) -> None:
    book = Journal(tmp_path / "journal.jsonl", SystemClock(), "m1")
    record = await book.write_durably(FaultRemoved("f", gone=True))
    assert journal.read(book.path).records == (record,)
    book.close()


async def test_a_full_disk_is_told_once_and_stops_nobody() -> None:
    told: list[str] = []
    book = Journal(Path("/dev/full"), SystemClock(), "m1", told.append)
    book.write(event_of("fault.removing", id="f"))
    await book.write_durably(event_of("fault.removed", id="f", gone=True))
    book.close()
    assert told == ["/dev/full cannot be written: No space left on device"]
    assert book.problem == told[0]


def test_a_full_disk_is_an_error_where_nobody_listens() -> None:
    book = Journal(Path("/dev/full"), SystemClock(), "m1")
    with pytest.raises(OSError, match="No space left"):
        book.write(event_of("run.started"))
    book.close()


async def test_a_live_journal_has_the_same_lines_in_the_same_order(tmp_path: Path) -> None:
    book = LiveJournal(tmp_path / "journal.jsonl", SystemClock(), "m1")
    written = [book.write(Phase("drain", at_most_s=n)) for n in range(500)]
    book.close()
    found = journal.read(book.path)
    assert found.records == tuple(written)
    assert found.damage == ""
    assert not (tmp_path / "journal.reserve").exists()


async def test_what_is_written_through_is_in_the_kernel_at_once(tmp_path: Path) -> None:
    book = LiveJournal(tmp_path / "journal.jsonl", SystemClock(), "m1")
    before = book.write(Phase("stack"))
    record = book.write_through(StackStarting("redis", undo=()))
    assert journal.read(book.path).records == (before, record)
    book.close()


async def test_what_is_durable_is_there_when_it_was_awaited(tmp_path: Path) -> None:
    book = LiveJournal(tmp_path / "journal.jsonl", SystemClock(), "m1")
    for number in range(50):
        book.write(event_of("phase", number=number))
    record = await book.write_durably(FaultRemoving("f"))
    assert journal.read(book.path).records[-1] == record
    book.close()


async def test_a_reader_that_stands_still_holds_up_no_write(tmp_path: Path) -> None:
    """A write to a full pipe blocks for ever; handing a line over does not."""
    path = tmp_path / "journal.jsonl"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    told: list[str] = []
    book = LiveJournal(path, SystemClock(), "m1", told.append)
    for number in range(1_000):  # some 500 KiB, and a pipe holds 64
        book.write(event_of("phase", number=number, padding="x" * 400))
    lines = first_lines(reader, 1_000)
    book.close()
    os.close(reader)
    assert [json.loads(line)["number"] for line in lines] == list(range(1_000))
    assert told == []


async def test_a_disk_that_is_too_slow_is_told_and_the_queue_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    told: list[str] = []
    book = LiveJournal(path, SystemClock(), "m1", told.append)
    for number in range(LINES_WAITING + 2_000):
        book.write(event_of("phase", number=number))
    await until(lambda: told)
    os.close(reader)  # the thread's write ends with EPIPE
    book.close()
    assert "the disk is too slow" in told[0]
    assert len(told) == 1


async def test_a_full_disk_still_takes_the_last_words(small_disk: Path) -> None:
    """The room that was set aside holds what says that the fault is out, and how the run ended."""
    told: list[str] = []
    book = LiveJournal(small_disk / "journal.jsonl", SystemClock(), "m1", told.append)
    await book.write_durably(event_of("fault.injecting", id="f", undo=[]))
    fill(small_disk / "filler")
    while not told:
        await book.write_durably(event_of("phase", padding="x" * 1_000))
    await book.write_durably(event_of("fault.removed", id="f", gone=True))
    book.write(event_of("run.ended", ended="interrupted"))
    book.close()
    found = journal.read(book.path)
    assert [r.event.kind for r in found.records[-2:]] == ["fault.removed", "run.ended"]
    assert found.damage == ""
    assert told == [f"{book.path} cannot be written: No space left on device"]


async def test_a_part_that_cannot_be_announced_is_an_error(small_disk: Path) -> None:
    book = LiveJournal(small_disk / "journal.jsonl", SystemClock(), "m1", lambda _: None)
    fill(small_disk / "filler")
    with pytest.raises(OSError, match="No space left"):
        for _ in range(1_000):
            book.write_through(event_of("stack.starting", name="redis", undo=["x" * 1_000]))
    book.close()


async def test_a_live_journal_on_a_full_device_is_told_once() -> None:
    told: list[str] = []
    book = LiveJournal(Path("/dev/full"), SystemClock(), "m1", told.append)
    book.write(event_of("fault.removing", id="f"))
    await book.write_durably(event_of("fault.removed", id="f", gone=True))
    book.write(event_of("run.ended"))
    book.close()
    assert told == ["/dev/full cannot be written: No space left on device"]
    assert book.problem == told[0]


@pytest.mark.parametrize("tail", [b"\0" * 4096, b"\xff\xfe{", b'{"seq": 1}\n', b"[]\n", b"7\n"])
def test_what_a_power_cut_leaves_behind_is_no_record(tmp_path: Path, tail: bytes) -> None:
    path = written(tmp_path)
    with path.open("ab") as file:
        file.write(tail)
    read = journal.read(path)
    assert len(read.records) == 5
    assert "line 6" in read.damage


async def test_what_is_to_be_hidden_is_in_no_line(tmp_path: Path) -> None:
    book = Journal(tmp_path / "journal.jsonl", SystemClock(), "m1")
    book.hide = lambda text: text.replace("s3cret", "***")
    book.write(
        event_of(
            "phase",
            problem="it said s3cret",
            nested=[{"s3cret": ("s3cret", 1)}],
            path=Path("s3cret"),
        )
    )
    book.close()
    found = journal.read(book.path)
    assert "s3cret" not in book.path.read_text()
    assert found.damage == ""
    assert json.loads(book.path.read_bytes())["nested"] == [{"***": ["***", 1]}]
