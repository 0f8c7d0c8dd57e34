"""The history file: readable while it grows, and no dispatched request is ever forgotten."""

from pathlib import Path

import numpy as np
import pytest

from gameday import history
from gameday.history import RECORD, HistoryTail, HistoryWriter, Outcome, stored_id

HEADER = {"scenario": "drop", "seed": 7, "users": 10}


def record(k: int, outcome: Outcome = Outcome.ISSUED) -> bytes:
    row = np.zeros(1, dtype=RECORD)
    row["k"], row["outcome"], row["user"], row["issue_id"] = k, outcome, 100 + k, b"i%d" % k
    return row.tobytes()


def test_what_was_appended_is_read(tmp_path: Path) -> None:
    writer = HistoryWriter(tmp_path / "drop-0.bin", HEADER)
    writer.advance(3)
    writer.append(record(0) + record(2, Outcome.SOLD_OUT))
    writer.close()
    read = history.read(tmp_path / "drop-0.bin")
    assert read.header == HEADER
    assert read.dispatched == 3
    assert read.records["k"].tolist() == [0, 2]
    assert read.records["issue_id"].tolist() == [b"i0", b"i2"]


def test_a_tail_sees_each_whole_record_once_while_the_file_grows(tmp_path: Path) -> None:
    path = tmp_path / "drop-0.bin"
    writer = HistoryWriter(path, HEADER)
    tail = HistoryTail(path)
    assert tail.read_new()[0].size == 0
    writer.append(record(0))
    writer.append(record(1)[:50])
    assert tail.read_new()[0]["k"].tolist() == [0]
    writer.append(record(1)[50:])
    assert tail.read_new()[0]["k"].tolist() == [1]
    assert tail.read_new()[0].size == 0
    tail.close()
    writer.close()


def test_dispatched_is_seen_before_any_record_of_it(tmp_path: Path) -> None:
    path = tmp_path / "drop-0.bin"
    writer = HistoryWriter(path, HEADER)
    tail = HistoryTail(path)
    writer.advance(7)
    assert tail.read_new()[1] == 7
    tail.close()
    writer.close()


def test_long_ids_are_stored_as_a_digest() -> None:
    assert stored_id("abc") == b"abc"
    assert len(stored_id("x" * 41)) == 32
    assert stored_id("x" * 41) != stored_id("y" * 41)


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"not a history" * 500)
    with pytest.raises(ValueError, match="not a history"):
        history.read(tmp_path / "x.bin")
