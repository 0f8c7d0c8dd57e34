"""Logs of a run's parts: however much stands in them, only what is needed is read."""

import os
from pathlib import Path

from gameday.core import files
from gameday.core.files.logs import END_BYTES, QUIET, hide_in_file, last_lines, last_words
from gameday.core.secrets.redaction import Hidden


def test_the_end_of_a_log_is_read_however_large_it_is(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    with path.open("wb") as file:
        file.truncate(1 << 40)
        file.seek(0, os.SEEK_END)
        file.write(b"\nthe end\nof it\n")
    assert last_lines(path, 2) == ["the end", "of it"]
    assert len(last_words(path)) <= END_BYTES


def test_what_stood_there_before_is_not_told_again(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    path.write_text("before\nafter\n")
    assert last_lines(path, 20, len("before\n")) == ["after"]


def test_a_log_that_is_none_is_said_to_be_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "part.log")
    assert last_words(tmp_path / "part.log") == (
        "(part.log cannot be read: it is a FIFO, not a file)"
    )
    assert last_words(tmp_path / "nothing.log") == QUIET


def test_a_secret_is_hidden_in_a_log_and_the_rest_stays_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    path.write_bytes(b"one \xff\r\npassword is s3cretpassword\nno end")
    hide_in_file(path, Hidden(["s3cretpassword"]))
    assert path.read_bytes() == b"one \xff\r\npassword is ***\nno end"
    assert [each.name for each in tmp_path.iterdir()] == ["part.log"]


def test_a_line_without_an_end_is_taken_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    with path.open("wb") as file:
        file.truncate(64 * files.MIB)
    hide_in_file(path, Hidden(["s3cretpassword"]))
    assert path.stat().st_size == 64 * files.MIB
