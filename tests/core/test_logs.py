"""Logs of a run's parts: however much stands in them, only what is needed is read."""

import os
from pathlib import Path

import pytest

from gameday.core import files
from gameday.core.files.logs import (
    END_BYTES,
    QUIET,
    cause,
    hide_in_file,
    last_lines,
    last_words,
)
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


def frames(count: int, form: str) -> str:
    return "".join(form.format(n=n) + "\n" for n in range(count))


JAVA = (
    'Exception in thread "main" BeanCreationException: Error creating bean\n'
    + frames(60, "\tat org.foo.Bar{n}.run(Bar.java:{n})")
    + 'Caused by: SQLException: relation "coupons" does not exist\n'
    + frames(40, "\tat org.pg.Driver{n}.run(Driver.java:{n})")
    + "\t... 33 more\n"
)
PYTHON = (
    "Traceback (most recent call last):\n"
    + frames(30, '  File "a.py", line {n}, in f\n    call({n})')
    + "KeyError: 'coupons'\n\nThe above exception was the direct cause of the following:\n\n"
    + 'Traceback (most recent call last):\n  File "a.py", line 1, in g\n    raise\n'
    + "RuntimeError: no migration 7\n"
)
NODE = (
    "Error: connect failed\n"
    + frames(12, "    at Module.f{n} (node:internal:{n})")
    + "  [cause]: Error: connect ECONNREFUSED 127.0.0.1:5432\n      at x {{\n  }}\n}}\n"
)
GO = "panic: no database\n\ngoroutine 1 [running]:\n" + frames(9, "main.f{n}()\n\t/x/m.go:{n} +0x1")


@pytest.mark.parametrize(
    ("failure", "first", "others"),
    [
        (JAVA, "Exception in thread", ["Caused by: SQLException"]),
        (PYTHON, "Traceback", ["KeyError: 'coupons'", "RuntimeError: no migration 7"]),
        (NODE, "Error: connect failed", ["  [cause]: Error: connect ECONNREFUSED 127.0.0.1:5432"]),
        (GO, "panic: no database", ["main.f0()"]),
    ],
)
def test_the_whole_cause_of_a_failure_is_told_without_the_frames_between(
    tmp_path: Path, failure: str, first: str, others: list[str]
) -> None:
    path = tmp_path / "part.log"
    path.write_text(frames(400, "request {n} was fine") + failure + "bye\n")
    told = cause(path)
    assert len(told) <= 30
    assert any(line.startswith(first) for line in told), told
    for other in others:
        assert any(line.startswith(other) for line in told), told
    assert told[-1] == "bye"


def test_a_log_without_an_error_ends_with_its_last_lines(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    path.write_text(frames(100, "line {n}"))
    assert cause(path)[-1] == "line 99"
    assert len(cause(path)) == 30
    assert cause(path, path.stat().st_size) == []
    path.write_bytes(b"Error: " + b"x" * 10_000_000)
    assert sum(map(len, cause(path))) < 1000


def test_a_secret_is_hidden_before_its_line_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    path.write_text("Error: " + "x" * 280 + "s3cretpassword-of-forty-characters" + "y" * 50)
    [told] = cause(path, 0, Hidden(["s3cretpassword-of-forty-characters"]))
    assert "s3cret" not in told
    assert "***" in told


@pytest.mark.parametrize("after", ["\nthe end\n", " and no end of the line"])
def test_what_is_left_of_a_secret_where_a_log_is_cut_is_not_told(
    tmp_path: Path, after: str
) -> None:
    path = tmp_path / "part.log"
    filling = "z" * (END_BYTES - len(after) - len("password"))
    path.write_text(f"x s3cretpassword{after}{filling}")
    told = "\n".join(last_lines(path, 20, 0, Hidden(["s3cretpassword"])))
    assert "password" not in told
    assert told.endswith("zzz")
