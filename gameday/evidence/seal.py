"""The seal of a run: the sums of its evidence, in the journal's last line.

The journal is chained, so whoever alters a file of evidence afterwards, by a full disk, a power
cut or by hand, is found out when the run is judged again. A run that was killed has no seal: its
files are taken as they are, and its verdict is never better than unknown.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gameday.core import files
from gameday.core.digests import digest_of
from gameday.evidence import log_file
from gameday.evidence.events import RunEnded
from gameday.evidence.journal import Record, first
from gameday.evidence.model import Part
from gameday.telemetry import samples
from gameday.traffic import history, step_log, vitals

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
