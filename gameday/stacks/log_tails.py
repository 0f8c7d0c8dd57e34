"""Logs that a run did not begin: what was added to each while it went on is copied into it.

The service of a kept stack, or of a system that runs already, writes to files of its own. Where
each ended is noted when the run begins; what follows is its evidence. What was lost in between is
said by a line that is no JSON, where the lost lines would stand, so that whoever reads the copy
knows that something is missing there: a log that was rotated (another file stands there, or it is
shorter than it was), that is not there, or that grew by more than is kept.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from gameday.core import files

MOST_BYTES: Final = 256 * files.MIB  # of one log, added in one run
_PIECE: Final = files.MIB


@dataclass(frozen=True, slots=True)
class _Position:
    """The end of a file when the run began; None for one that was not there."""

    file: tuple[int, int] | None
    size: int


class LogTails:
    """What is added to some files from now on; `logs` are they, by the name of their copy."""

    def __init__(self, logs: Mapping[str, Path]) -> None:
        self._logs = logs
        self._from = {name: _position(path) for name, path in logs.items()}

    def keep(self, logs_dir: Path) -> None:
        """Copy what was added. A log that cannot be read says so, and keeps no other from it."""
        logs_dir.mkdir(parents=True, exist_ok=True)
        for name, path in self._logs.items():
            with suppress(OSError), (logs_dir / f"{name}.log").open("wb") as copy:
                copy.writelines(_added(path, self._from[name]))


def copies_of(paths: list[Path]) -> dict[str, Path]:
    """The files of the replicas of a service by the names of their copies."""
    if len(paths) == 1:
        return {"service": paths[0]}
    return {f"service-{number}": path for number, path in enumerate(paths, start=1)}


def _position(path: Path) -> _Position:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return _Position(None, 0)
    return _Position((found.st_dev, found.st_ino), found.st_size)


def _added(path: Path, since: _Position) -> Iterator[bytes]:
    try:
        with files.open_file(path) as file:
            found = os.fstat(file.fileno())
            if (found.st_dev, found.st_ino) == since.file and found.st_size >= since.size:
                file.seek(since.size)
            elif since.file is not None:
                yield _remark(path, "it was rotated while the run went on: some of it is lost")
            yield from _pieces(path, file)
    except OSError as error:
        yield _remark(path, error.strerror or "it cannot be read")


def _pieces(path: Path, file: BinaryIO) -> Iterator[bytes]:
    left = MOST_BYTES
    while left > 0 and (piece := file.read(min(_PIECE, left))):
        left -= len(piece)
        yield piece
    if file.read(1):
        yield _remark(path, f"more than {files.size(MOST_BYTES)} were added: the rest is left out")


def _remark(path: Path, what: str) -> bytes:
    return f"\n({path.name}: {what})\n".encode()
