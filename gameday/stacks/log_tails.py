"""Logs that a run did not begin: what was added to each while it went on is copied into it.

The service of a kept stack, or of a system that runs already, writes to files of its own. Where
each ended is noted when the run begins; what follows is its evidence. What was lost in between is
said by a line that is no JSON, so that whoever reads the copy knows that something is missing
there: a log that was rotated or cut short, that is not there, or that grew by more than is kept.

A log that was cut short and has grown again looks as if nothing had happened, so each is kept open,
and is looked at once a second: its size, which file has its name, and its last bytes of the look
before. And whoever can write beside a log can put a link in its place: only what was there at the
beginning is read, or a file of the same owner.
"""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock, Thread
from typing import BinaryIO, Final

from gameday.core import files
from gameday.evidence.service_logs import loss

MOST_BYTES: Final = 256 * files.MIB  # of one log, added in one run
LOOK_S: Final = 1.0
_PIECE: Final = files.MIB
_KNOWN: Final = 4096  # bytes by which a log is known again
_ROTATED: Final = "it was rotated while the run went on: some of it is lost"
_CUT: Final = "it was cut short while the run went on: some of it is lost"
_ELSEWHERE: Final = "its name leads to another place than at first: nothing of it is copied"
_OWNER: Final = "its owner is another than at first: nothing of it is copied"


class LogTails:
    """What is added to some files from now on; `logs` are they, by the name of their copy.

    They are looked at in a thread of its own, until `keep`.
    """

    def __init__(self, logs: Mapping[str, Path]) -> None:
        self._tails = {name: _Tail(path) for name, path in logs.items()}
        self._over = Event()
        self._one = Lock()
        Thread(target=self._watch, name="logs", daemon=True).start()

    def look(self) -> None:
        """See whether something was lost since the last look."""
        with self._one:
            for tail in self._tails.values():
                tail.look()

    def keep(self, logs_dir: Path) -> None:
        """Copy what was added. A log that cannot be read says so, and keeps no other from it."""
        self._over.set()
        logs_dir.mkdir(parents=True, exist_ok=True)
        self.look()
        with self._one:
            for name, tail in self._tails.items():
                _keep(tail, logs_dir / f"{name}.log")
                tail.close()

    def _watch(self) -> None:
        while not self._over.wait(LOOK_S):
            self.look()


def copies_of(paths: list[Path]) -> dict[str, Path]:
    """The files of the replicas of a service by the names of their copies."""
    if len(paths) == 1:
        return {"service": paths[0]}
    return {f"service-{number}": path for number, path in enumerate(paths, start=1)}


class _RefusedError(OSError):
    """A file that is not the one that was meant; its `strerror` says why."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.EPERM, why)


class _Tail:
    """One log, and what is known of it.

    `_from` is where the run began in it, `_size` what it had at the last look, and `_end` its last
    bytes of then. `_lost` says what is missing, `_away` why there was nothing to read just now.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = _place_of(path)
        self._owners = _owners_of(self._place)
        self._file: BinaryIO | None = None
        self._size, self._end = 0, b""
        self._lost, self._away = "", ""
        self.look()
        self._from = self._size

    def look(self) -> None:
        """See whether it is the same file, with all that it had, and note what it has now."""
        self._away = ""
        try:
            self._take(self._open())
        except OSError as error:
            self._away = error.strerror or "it cannot be read"
            if self._file is not None:
                self._lost = self._lost or _ROTATED

    def added(self) -> Iterator[bytes]:
        """Pieces of what was added, with a remark for what is missing."""
        if self._away or self._file is None:
            yield loss(self._path.name, self._away)
            return
        if told := self._lost:
            yield loss(self._path.name, told)
        try:
            self._file.seek(self._from)
            yield from self._pieces(self._file)
        except OSError as error:
            yield loss(self._path.name, error.strerror or "it cannot be read")
        self.look()
        if self._lost != told:  # while it was copied
            yield loss(self._path.name, self._lost)

    def close(self) -> None:
        """Read no more of it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> BinaryIO:
        """The file that has the name. Raises OSError, also where it is not the one that is meant.

        One that takes the place of a link, or of a folder on the way, is seen before or after.
        """
        if _place_of(self._path) != self._place:
            raise _RefusedError(_ELSEWHERE)
        file = files.open_file(self._place)
        try:
            found = os.fstat(file.fileno())
            is_it = os.path.samestat(found, os.lstat(self._place))
            if not is_it or _place_of(self._path) != self._place:
                raise _RefusedError(_ELSEWHERE)
            if found.st_uid not in self._owners:
                raise _RefusedError(_OWNER)
        except BaseException:
            file.close()
            raise
        return file

    def _take(self, opened: BinaryIO) -> None:
        """Go on with the file that has the name now, which may be another. Raises OSError."""
        before, self._file = self._file, opened
        if before is not None:
            with before:
                lost = self._changed(before, opened)
            if lost:
                self._lost, self._from = lost, 0
        self._size = os.fstat(opened.fileno()).st_size
        start = max(0, self._size - _KNOWN)
        self._end = os.pread(opened.fileno(), self._size - start, start)

    def _changed(self, before: BinaryIO, now: BinaryIO) -> str:
        """Loss since the last look, or ""; a file that is kept open gives its number to none."""
        if not os.path.samestat(os.fstat(before.fileno()), os.fstat(now.fileno())):
            return _ROTATED
        start = self._size - len(self._end)
        return "" if os.pread(now.fileno(), len(self._end), start) == self._end else _CUT

    def _pieces(self, file: BinaryIO) -> Iterator[bytes]:
        left = MOST_BYTES
        while left > 0 and (piece := file.read(min(_PIECE, left))):
            left -= len(piece)
            yield piece
        if file.read(1):
            rest = f"more than {files.size(MOST_BYTES)} were added: the rest is left out"
            yield f"\n({self._path.name}: {rest})\n".encode()


def _keep(tail: _Tail, copy: Path) -> None:
    try:
        with copy.open("wb") as file:
            file.writelines(tail.added())
    except OSError as error:  # of a full disk, which has the room for this
        with suppress(OSError):
            copy.write_bytes(loss(copy.stem, error.strerror or "it cannot be kept"))


def _place_of(path: Path) -> Path:
    """The file that a name leads to, through all links."""
    with suppress(OSError, ValueError):  # no name that a file can have, which its reader tells
        return path.resolve()
    return path


def _owners_of(path: Path) -> set[int]:
    """Owners whose file is read: its own; of one that is not there, we or its folder's."""
    with suppress(OSError, ValueError):
        return {path.stat().st_uid}
    with suppress(OSError, ValueError):
        return {os.geteuid(), path.parent.stat().st_uid}
    return {os.geteuid()}
