"""The seal of a run: the sums of its evidence, in the journal's last line.

The journal is chained, so whoever alters a file of evidence afterwards, by a full disk, a power
cut or by hand, is found out when the run is judged again. A run that was killed has no seal: its
files are taken as they are, and its verdict is never better than unknown.
"""

import hashlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from gameday.core import files
from gameday.core.clock import NS, wall_time_ns
from gameday.evidence import log_file
from gameday.evidence.events import RunEnded
from gameday.evidence.journal import Record, first
from gameday.evidence.model import Part
from gameday.telemetry import samples
from gameday.traffic import history, step_log, vitals

_PIECE: Final = 1 << 23  # between two of them it waits for the interpreter
_DIGESTS: Final[dict[tuple[int, ...], str]] = {}
_MOST_DIGESTS: Final = 1_000
SURE_NS: Final = 2 * NS
"""A file that was changed so long ago has another time of change when it is changed again: file
systems count it in steps of up to some milliseconds, old ones in seconds."""
_PARTS: Mapping[str, Part] = {
    "inputs/effective.json": "effective",
    "history": "history",
    "samples.jsonl": "samples",
    "vitals.jsonl": "vitals",
    "audit.json": "audit",
    "logs.json": "logs",
}
LARGEST_BYTES: Mapping[Part, int] = {
    "effective": 16 * files.MIB,
    "history": history.LARGEST_BYTES,
    "samples": samples.LARGEST_BYTES,
    "vitals": vitals.LARGEST_BYTES,
    "audit": 4 * files.GIB,
    "logs": log_file.LARGEST_BYTES,
}
"""The largest that a file of evidence can be meant to be; a larger one is not read at all."""


def sums(run_dir: Path) -> dict[str, str]:
    """The SHA-256 of each file of evidence, by its name in the run directory.

    A file that cannot be read has none.
    """
    found = {}
    for part, path in _files(run_dir):
        try:
            found[path.relative_to(run_dir).as_posix()] = digest_of(path, LARGEST_BYTES[part])
        except OSError:
            continue  # judging will say that it cannot be read
    return found


def begin_sums(run_dir: Path) -> None:
    """Make the sums of a run beside other work: hashing leaves the interpreter to others.

    Who asks for one that is not made yet makes it himself.
    """
    threading.Thread(target=sums, args=(run_dir,), daemon=True).start()


def broken(run_dir: Path, records: Sequence[Record]) -> dict[Part, str]:
    """Which parts are no longer what they were when the run ended, and what is wrong with them."""
    ended = first(records, RunEnded)
    if ended is None or ended.event.evidence is None:
        return {}
    found: dict[Part, str] = {}
    now = sums(run_dir)
    for name, digest in ended.event.evidence.items():
        part = _PARTS.get(name, _PARTS.get(name.partition("/")[0]))
        if part is not None and now.get(name) != digest:
            gone = "" if (run_dir / name).exists() else ": it is not there"
            found[part] = f"{name} is not what it was when the run ended{gone}"
    return found


def _files(run_dir: Path) -> Iterator[tuple[Part, Path]]:
    for name, part in _PARTS.items():
        path = run_dir / name
        if path.is_dir():
            found = [*path.glob("*.bin"), *path.glob(f"*{step_log.SUFFIX}")]
            yield from ((part, each) for each in sorted(found))
        elif path.is_file():
            yield part, path


def digest_of(path: Path, most_bytes: int | None = None) -> str:
    """The SHA-256 of a file. Raises OSError.

    A report asks for it in several places: a file that has not changed is read once.
    """
    with files.open_file(path, most_bytes) as file:
        about = os.fstat(file.fileno())
        which = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
        if (known := _DIGESTS.get(which)) is not None:
            return known
        hashed = hashlib.sha256()
        while piece := file.read(_PIECE):
            hashed.update(piece)
    digest = hashed.hexdigest()
    if wall_time_ns() - about.st_ctime_ns > SURE_NS:
        if len(_DIGESTS) >= _MOST_DIGESTS:
            _DIGESTS.clear()
        _DIGESTS[which] = digest
    return digest
