"""Reading a file that somebody names: a real one, of a size that can be meant, and nothing else.

A path may lead to a FIFO, which nobody ever writes to; to a device, which never ends or acts when
it is opened; to a folder, a socket, or a file as large as the disk. None of them is read, and
finding that out never waits: a FIFO is opened without blocking, if at all.

What is wrong is an `OSError` whose `strerror` says it ("it is a FIFO, not a file"), so whoever can
live with a file that cannot be read can live with these too; `read` makes it an error that names
the file. A file of ours is written by `replace`.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Final

from gameday.core.errors import FileError, Place, UsageError

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB
SECRET_BYTES: Final = 64 * KIB  # a password or a key; more is a wrong path
SETTING_BYTES: Final = 8 * MIB  # what gameday or a person wrote down: a stack, a calibration
HELP: Final = "name a regular file"

_KINDS: Final[tuple[tuple[Callable[[int], bool], str], ...]] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def open_file(path: Path, most_bytes: int | None = None) -> BufferedReader:
    """A regular file, open to be read. Raises OSError for whatever else it is, or how large."""
    try:
        _must_be_regular(os.stat(path), path)  # a device may act when it is only opened
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except ValueError as error:  # a path that no file can have
        raise OSError(errno.EINVAL, "it is no name of a file", str(path)) from error
    try:
        found = os.fstat(number)
        _must_be_regular(found, path)  # it may have become another since
        if most_bytes is not None and found.st_size > most_bytes:
            raise _too_large(path, most_bytes)
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def read_bytes(path: Path, most_bytes: int) -> bytes:
    """All of a regular file. Raises OSError, also where it is larger."""
    with open_file(path, most_bytes) as file:
        raw = file.read(most_bytes + 1)
    if len(raw) > most_bytes:  # it grows, or is one of those of /proc, which tell no size
        raise _too_large(path, most_bytes)
    return raw


def read(path: Path, most_bytes: int, what: str = "") -> bytes:
    """All of a regular file that a person named, as `what`. Raises UsageError."""
    try:
        return read_bytes(path, most_bytes)
    except OSError as error:
        raise UsageError(f"{what} {path}: {error.strerror}".lstrip(), help=HELP) from error


def decode(raw: bytes, file: str) -> str:
    """The text of a file in UTF-8. Raises FileError at the first byte that is not."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]  # without the BOM
        place = Place(file, before.count(b"\n") + 1, len(before) - before.rfind(b"\n"))
        problem = f"byte 0x{error.object[error.start]:02x} is not UTF-8"
        raise FileError(place, problem, help="save the file as UTF-8") from error


def shown_path(path: Path) -> str:
    """The path as messages name it: from the current folder where the file is below it."""
    try:
        absolute, here = path.absolute(), Path.cwd()
    except OSError:  # the current folder is gone
        return str(path)
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute)


def replace(path: Path, pieces: Iterable[bytes]) -> None:
    """Put a whole file there at once, for us alone: a reader sees the old one or the new one."""
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(half, "wb", opener=_private) as file:
            file.writelines(pieces)
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)


def _private(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def lines(file: BinaryIO, most_bytes: int) -> Iterator[tuple[int, bytes]]:
    """The lines of an open file and their numbers, from 1; the last may be torn.

    Raises ValueError, with the number, at one that is longer.
    """
    number = 1
    while line := file.readline(most_bytes + 1):
        if len(line) > most_bytes:
            raise ValueError(f"line {number} is longer than {size(most_bytes)}")
        yield number, line
        number += 1


def is_file(path: Path) -> bool:
    """True if a regular file is there, False for a name no file can have. Raises nothing."""
    return os.path.isfile(path)


def size(number: int) -> str:
    """A number of bytes as people read it: `64 KiB`; `1,500 bytes` where it is no whole number."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if number >= unit and number % unit == 0:
            return f"{number // unit} {name}"
    return f"{number:,} bytes"


def _must_be_regular(found: os.stat_result, path: Path) -> None:
    if stat.S_ISREG(found.st_mode):
        return
    kind = next((name for is_kind, name in _KINDS if is_kind(found.st_mode)), "something else")
    number = errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.EINVAL
    raise OSError(number, f"it is {kind}, not a file", str(path))


def _too_large(path: Path, most_bytes: int) -> OSError:
    return OSError(errno.EFBIG, f"it is larger than {size(most_bytes)}", str(path))
