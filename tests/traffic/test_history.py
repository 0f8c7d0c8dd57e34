"""The history file: readable while it grows, and no dispatched request is ever forgotten."""

import json
from pathlib import Path

import numpy as np
import pytest

from gameday.traffic import history
from gameday.traffic.history import (
    HEAD_BYTES,
    RECORD,
    HistoryHeader,
    HistoryTail,
    HistoryWriter,
    Outcome,
    stored_id,
)

OLD_RECORD = np.dtype(
    [
        ("k", "<u4"),
        ("status", "<u2"),
        ("outcome", "u1"),
        ("reason", "u1"),
        ("user", "<i8"),
        ("intended_ns", "<i8"),
        ("sent_ns", "<i8"),
        ("first_byte_ns", "<i8"),
        ("ended_ns", "<i8"),
        ("remaining", "<i4"),
        ("bytes_sent", "<u2"),
        ("bytes_received", "<u2"),
        ("issue_id", "S40"),
    ]
)
HEAD = {
    "scenario": "drop",
    "seed": 7,
    "users": 10,
    "t0_ns": 5,
    "spec": {"executor": "constant-arrival-rate", "rate": "10/s", "duration": "3s"},
}
HEADER = HistoryHeader.from_json(HEAD)


def record(k: int, outcome: Outcome = Outcome.ISSUED) -> bytes:
    row = np.zeros(1, dtype=RECORD)
    row["k"], row["outcome"], row["user"], row["issue_id"] = k, outcome, 100 + k, b"i%d" % k
    return row.tobytes()


def received(records: history.Records) -> list[int]:
    """The bytes that came back to each start, heads included."""
    found: list[int] = (
        (records["received_64k"].astype(int) << 16) + records["bytes_received"]
    ).tolist()
    return found


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


def test_a_scenario_has_its_own_files_alone_however_others_are_called(tmp_path: Path) -> None:
    for name, dispatched in (("drop", 3), ("drop-base", 50), ("drop-0", 700), ("dr", 9)):
        for worker in (0, 1):
            header = HistoryHeader.from_json({**HEAD, "scenario": name, "worker": worker})
            writer = HistoryWriter(tmp_path / f"{name}-{worker}.bin", header)
            writer.advance(dispatched)
            writer.close()
    found = {
        name: [each.dispatched for each in history.of_scenario(tmp_path, name)]
        for name in ("drop", "drop-base", "drop-0", "d", "*")
    }
    assert found == {"drop": [3, 3], "drop-base": [50, 50], "drop-0": [700, 700], "d": [], "*": []}
    assert history.of_scenario(tmp_path / "missing", "drop") == []


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


@pytest.mark.parametrize("cut", [0, 1, 50, 99, 100, 101, 250])
def test_a_torn_last_record_is_left_out(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "drop-0.bin"
    writer = HistoryWriter(path, HEADER)
    writer.append(b"".join(record(k) for k in range(3))[:cut])
    writer.close()
    assert history.read(path).records["k"].tolist() == list(range(cut // RECORD.itemsize))


def test_what_was_read_stays_when_the_file_grows_or_goes(tmp_path: Path) -> None:
    path = tmp_path / "drop-0.bin"
    writer = HistoryWriter(path, HEADER)
    writer.append(record(0) + record(1)[:30])
    read = history.read(path)
    writer.append(record(1)[30:] + record(2))
    writer.close()
    assert read.records["k"].tolist() == [0]
    assert history.read(path).records["k"].tolist() == [0, 1, 2]
    path.unlink()
    assert read.records["user"].tolist() == [100]


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


def test_a_record_is_at_most_100_bytes() -> None:
    assert RECORD.itemsize <= 100


def test_numpy_reads_the_file_in_place(tmp_path: Path) -> None:
    path = tmp_path / "drop-0.bin"
    writer = HistoryWriter(path, HEADER)
    writer.append(b"".join(record(k) for k in range(1000)))
    writer.close()
    mapped = np.memmap(path, RECORD, "r", offset=HEAD_BYTES)
    assert mapped["k"].tolist() == list(range(1000))
    assert mapped["user"].sum() == sum(range(100, 1100))
    assert bytes(mapped["issue_id"][999]) == b"i999"


def test_a_file_of_version_1_is_read_as_one_of_version_2(tmp_path: Path) -> None:
    old = np.zeros(2, dtype=OLD_RECORD)
    old["k"], old["user"], old["bytes_received"] = (0, 1), (100, 101), 77
    old["issue_id"] = b"i0", b"i" * 40
    head = (b"GDHIST01" + (2).to_bytes(8, "little") + json.dumps(HEAD).encode()).ljust(4096)
    (tmp_path / "drop-0.bin").write_bytes(head + old.tobytes() + b"torn")
    read = history.read(tmp_path / "drop-0.bin")
    assert read.records.dtype == RECORD
    assert read.dispatched == 2
    assert read.records["user"].tolist() == [100, 101]
    assert read.records["attempts"].tolist() == [1, 1]
    assert read.records["issue_id"].tolist() == [b"i0", stored_id("i" * 40)]
    assert received(read.records) == [77, 77]


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"not a history" * 500)
    with pytest.raises(ValueError, match="not a history"):
        history.read(tmp_path / "x.bin")
