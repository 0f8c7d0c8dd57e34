"""Who wrote the records of a run: those that this user's gameday signed here, and the others.

A journal is not an order. Only records that the user's own key has signed, for this run and this
file, are acted on (`heal`, the reaper, the looks of `plan`), and only they calm: a forged
`fault.removed` or `run.ended` makes nobody believe that a fault is out. The rest is shown, and
counts when somebody vouches for the run by hand.

Each line is looked at for itself. A line that somebody has put in, or destroyed, thus hides none of
the others; one that is missing is noticed by its number.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gameday.core import files
from gameday.core.secrets.signing import RecordPosition, SigningKey, key_named
from gameday.evidence import journal
from gameday.evidence.drill_events import DETACHED
from gameday.evidence.events import DrillStarted, Sealed
from gameday.evidence.journal import Record
from gameday.evidence.journal_lengths import noted
from gameday.evidence.sealed_box import Box

JOURNAL = "journal.jsonl"
REAPER = "reaper.jsonl"
LONGEST_LINE = 16 * files.MIB
LONGEST_FILE = 64 * files.MIB
MOST_LINES = 400_000
MOST_FOREIGN = 20_000
"""So many lines that are not signed are looked into; they are only shown."""
MOST_LATER = 1_000
_HEALED = re.compile(r"healed-[1-9][0-9]{0,8}\.jsonl\Z")


@dataclass(slots=True)
class Read:
    """One file: what is signed, in the order of its numbers; the rest as it stands; what is wrong.

    `strange` counts lines that are no records, `torn` says that the last one is cut off. `missing`
    tells of signed lines that are not there, or of a file that cannot be read: what they announced
    nobody knows. `other_key` is the name of a key that signed others.
    """

    signed: list[Record] = field(default_factory=list)
    foreign: list[Record] = field(default_factory=list)
    strange: int = 0
    torn: bool = False
    missing: str = ""
    other_key: str = ""
    altered: bool = False
    sealed: int = 0
    """Records of a drill that has had no debrief, of which nobody here knows what they announce."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Records of a run by their signer: the journal, and what was done later.

    `foreign` and `foreign_later` are what nobody here has signed; `why_foreign` says why.
    `unknown` says why more may be left behind than is known of, "" when nothing points to that.
    """

    dir: Path
    journal: Sequence[Record]
    later: Sequence[Record]
    foreign: Sequence[Record] = ()
    foreign_later: Sequence[Record] = ()
    why_foreign: str = ""
    unknown: str = ""
    notes: Sequence[str] = ()
    sealed: int = 0
    """Records that are sealed until the debrief of a drill: what they announce is not known."""


def read(
    run_dir: Path, key: SigningKey | None, state: Path | None = None, box: Box | None = None
) -> Provenance:
    """Tell which records `key` has signed, and which not. Never raises for what is in them.

    `state` is the folder where it is noted how long the journal is at least; `box` opens what a
    drill has sealed.
    """
    first = read_journal(run_dir, key, box)
    first.missing = first.missing or _cut(run_dir, first, state)
    others = {path.name: _read(path, key, box) for path in later_files(run_dir)}
    everything = {JOURNAL: first, **others}
    problems = [f"{name}: {each.missing}" for name, each in everything.items() if each.missing]
    return Provenance(
        dir=run_dir,
        journal=first.signed,
        later=[record for each in others.values() for record in each.signed],
        foreign=first.foreign,
        foreign_later=[record for each in others.values() for record in each.foreign],
        why_foreign=_why_foreign(list(everything.values()), key),
        unknown="; ".join(problems),
        sealed=sum(each.sealed for each in everything.values()),
        notes=[note for name, each in everything.items() for note in _notes(name, each)],
    )


def read_journal(run_dir: Path, key: SigningKey | None, box: Box | None = None) -> Read:
    """The journal alone."""
    return _read(run_dir / JOURNAL, key, box)


def vouched(run_dir: Path, box: Box | None = None) -> Provenance:
    """The same for a run that somebody vouches for: its files are taken at their word."""
    read = {
        path.name: journal.read(path, box) for path in [run_dir / JOURNAL, *later_files(run_dir)]
    }
    first = read.pop(JOURNAL)
    damaged = {name: each.damage for name, each in read.items() if each.damage}
    if first.damage:
        damaged[JOURNAL] = first.damage
    sealed = sum(_sealed(each.records) for each in [first, *read.values()])
    return Provenance(
        dir=run_dir,
        journal=first.records,
        later=[record for each in read.values() for record in each.records],
        unknown=f"{JOURNAL}: {first.damage}" if first.damage and not first.records else "",
        sealed=0 if _is_detached(first.records) else sealed,
        notes=[f"{name}: {damage}" for name, damage in damaged.items()],
    )


def later_files(run_dir: Path) -> list[Path]:
    """Files that the reaper and earlier healings wrote, in that order; there may be none."""
    try:
        names = sorted(filter(_HEALED.match, os.listdir(run_dir)), key=lambda n: (len(n), n))
    except OSError:
        return []
    found = [run_dir / REAPER, *(run_dir / name for name in names[:MOST_LATER])]
    return [path for path in found if os.path.lexists(path)]


def _sealed(records: Sequence[Record]) -> int:
    return sum(isinstance(record.event, Sealed) for record in records)


def _is_detached(records: Sequence[Record]) -> bool:
    """True for a session that had no system, so that nothing can be left behind by it."""
    started = journal.first(records, DrillStarted)
    return started is not None and started.event.mode in DETACHED


def _read(path: Path, key: SigningKey | None, box: Box | None = None) -> Read:
    found = Read()
    run = journal.run_of(path)
    try:
        for line in _lines(path):
            _sort_in(found, line, RecordPosition(run, path.name, 0), key)
    except (OSError, ValueError) as error:
        found.missing = f"cannot be read: {getattr(error, 'strerror', None) or error}"
    found.signed.sort(key=lambda record: record.seq)
    found.missing = found.missing or _gap([record.seq for record in found.signed])
    found.signed = list(journal.unsealed(found.signed, path, box))
    found.foreign = list(journal.unsealed(found.foreign, path, box))
    found.sealed = _sealed(found.signed) + _sealed(found.foreign)
    if _is_detached(found.signed):
        found.sealed = 0
    return found


def _sort_in(found: Read, line: bytes, file: RecordPosition, key: SigningKey | None) -> None:
    """One line to the signed ones, to the others, or to what is no record at all."""
    if not line.endswith(b"\n"):
        found.torn = True
        return
    line = line[:-1]
    content, signature = journal.signature_of(line)
    if not signature and found.strange + len(found.foreign) >= MOST_FOREIGN:
        found.strange += 1
        return
    try:
        record, _ = journal.parse(line, checked=journal.has_sum(line))
    except ValueError:
        found.strange += 1
        return
    if key is not None and key.signed(replace(file, seq=record.seq), content, signature):
        found.signed.append(record)
        return
    found.foreign.append(record)
    if signature and (key is None or key_named(signature) != key.name):
        found.other_key = key_named(signature)
    found.altered = found.altered or (key is not None and key_named(signature) == key.name)


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a regular file, as many as are read. Raises OSError, ValueError."""
    left = LONGEST_FILE
    with files.open_file(path) as file:
        for number, line in files.lines(file, LONGEST_LINE):
            left -= len(line)
            if left < 0 or number > MOST_LINES:
                raise ValueError(f"more than {files.size(LONGEST_FILE)} or {MOST_LINES:,} lines")
            yield line


def _gap(numbers: Sequence[int]) -> str:
    """Which of the signed records are not there, "" when none is missing before the last."""
    for place, number in enumerate(dict.fromkeys(numbers)):
        if number != place:
            return f"the signed record {place} is not there, and what it announced is not known"
    return ""


def _cut(run_dir: Path, journal_read: Read, state: Path | None) -> str:
    """A text with the number of records missing at the end, "" when none is known to be."""
    run = journal.run_of(run_dir / JOURNAL)
    if state is not None and run_dir.name not in ("", "..", run) and noted(state, run_dir.name):
        return f"the folder is a link to run {run}, and its own records are not there"
    least = 0 if state is None else noted(state, run)
    there = len({record.seq for record in journal_read.signed})
    if there >= least:
        return ""
    return f"cut off: {least} signed records were written, and {there} are there"


def _why_foreign(read: Sequence[Read], key: SigningKey | None) -> str:
    """Why some of it is nobody's here, in the words of whoever is to decide."""
    if any(each.altered for each in read):
        return "altered, or copied from another run or file"
    other = next((each.other_key for each in read if each.other_key), "")
    if not other:
        return "not signed"
    mine = "there is no key here" if key is None else f"yours is {key.name}"
    return f"signed with the key {other}, and {mine}"


def _notes(name: str, read: Read) -> Iterator[str]:
    if read.strange:
        yield f"{name}: {read.strange} lines are no records"
    if read.torn:
        yield f"{name}: the last line is torn; only what stands before it is undone"
