"""A file that somebody names is read when it is one, and refused at once when it is not."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from gameday.core import files
from gameday.core.errors import UsageError


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.mkdir()


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


def _zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _full(path: Path) -> None:
    path.symlink_to("/dev/full")


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


OTHERS: dict[str, tuple[Callable[[Path], None], str]] = {
    "fifo": (_fifo, "a FIFO"),
    "folder": (_folder, "a folder"),
    "socket": (_socket, "a socket"),
    "zero": (_zero, "a device"),
    "full": (_full, "a device"),
    "loop": (_loop, "symbolic links"),
    "huge": (_huge, "larger than 1 MiB"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_no_file_is_refused_with_its_place(tmp_path: Path, kind: str) -> None:
    make, word = OTHERS[kind]
    path = tmp_path / "named"
    make(path)
    with pytest.raises(OSError, match=word):
        files.read_bytes(path, files.MIB)
    with pytest.raises(UsageError) as refused:
        files.read(path, files.MIB, "rules")
    assert refused.value.message.startswith(f"rules {path}: ")
    assert word in refused.value.message


def test_standard_input_as_a_pipe_is_refused() -> None:
    reads, writes = os.pipe()
    try:
        with pytest.raises(OSError, match="a FIFO"):
            files.read_bytes(Path(f"/proc/self/fd/{reads}"), files.MIB)
    finally:
        os.close(reads)
        os.close(writes)


@pytest.mark.parametrize("name", ["nul\0byte", "\udcff\ud800", "x" * 300])
def test_a_name_that_no_file_can_have_is_an_error_of_the_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError, match=r".+"):
        files.read_bytes(tmp_path / name, files.MIB)


def test_a_file_is_read_up_to_the_last_byte_that_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    assert files.read_bytes(path, 100) == b"x" * 100
    with pytest.raises(OSError, match="larger than 99 bytes"):
        files.read_bytes(path, 99)


def test_a_file_that_tells_no_size_is_bounded_too() -> None:
    with pytest.raises(OSError, match="larger than 10 bytes"):
        files.read_bytes(Path("/proc/self/status"), 10)


def test_a_line_without_an_end_is_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"one\n" + b"x" * 100)
    with files.open_file(path) as file:
        found = files.lines(file, 10)
        assert next(found) == (1, b"one\n")
        with pytest.raises(ValueError, match="line 2 is longer than 10 bytes"):
            next(found)
