"""Decisions about each occurrence, in SQLite: the memory of all schedulers of a user.

An occurrence goes one way: `planned`, `claimed`, `running`, and then `finished` or `interrupted`;
or from `planned` to `skipped`, with its reason. Each step is one transaction, on disk before the
act that it stands for, and asks that the step before is still so. So two schedulers, or one that
was killed at any instant, never begin one occurrence twice: a claim that was not taken up may be
taken back, and whoever comes late with its token may not begin.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

from gameday.core.errors import UnknownError, UsageError
from gameday.core.files.private import only_for_us, own_folder, state_dir
from gameday.core.messages import Message, is_message, known

FILE: Final = "schedule.db"
WAIT_S: Final = 10.0  # for another scheduler's transaction, which takes milliseconds
OccurrenceState = Literal["planned", "claimed", "running", "finished", "interrupted", "skipped"]
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS occurrence (
    path TEXT, at_s INTEGER, name TEXT NOT NULL, start_s INTEGER NOT NULL, state TEXT NOT NULL,
    reason TEXT, reopens INTEGER NOT NULL DEFAULT 0, target TEXT, token TEXT,
    pid INTEGER, pid_start TEXT, child INTEGER, child_start TEXT, exit_code INTEGER,
    count INTEGER NOT NULL DEFAULT 1, told_s INTEGER, acked_by TEXT, begun_s INTEGER,
    ended_s INTEGER, PRIMARY KEY (path, at_s)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS open_ones ON occurrence (state);
CREATE TABLE IF NOT EXISTS entry (path TEXT PRIMARY KEY, until_s INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS look (
    id INTEGER PRIMARY KEY CHECK (id = 1), wall_s REAL, boot_s REAL, awake_s REAL, boot TEXT);
"""
_PLAN: Final = (
    "INSERT INTO occurrence (path, name, at_s, start_s, state) VALUES (?, ?, ?, ?, 'planned')"
    " ON CONFLICT DO UPDATE SET state = 'planned', reason = NULL, reopens = 0, count = 1"
    " WHERE reopens = 1"
)
_COLUMNS: Final = (
    "path, at_s, name, start_s, state, reason, target, token, pid, pid_start, child, child_start,"
    " exit_code, count, told_s, acked_by, begun_s, ended_s"
)


@dataclass(frozen=True, slots=True)
class Look:
    """An instant as a scheduler sees it.

    `boot_s` counts on while the machine sleeps, `awake_s` does not; both begin anew with a `boot`.
    """

    wall_s: float
    boot_s: float
    awake_s: float
    boot: str


@dataclass(frozen=True, slots=True)
class OccurrenceRow:
    """One occurrence as it is remembered; `count` is more than 1 for a summary of many."""

    path: str
    at_s: int
    name: str
    start_s: int
    state: OccurrenceState
    reason: str | None
    target: str | None
    token: str | None
    pid: int | None
    pid_start: str | None
    child: int | None
    child_start: str | None
    exit_code: int | None
    count: int
    told_s: int | None
    acked_by: str | None
    begun_s: int | None
    ended_s: int | None

    @property
    def why(self) -> Message | str:
        """The reason, "" where there is none."""
        if self.reason is None:
            return ""
        try:
            raw = json.loads(self.reason)
        except ValueError:
            return self.reason
        if not is_message(raw):
            return self.reason
        return known(Message.from_json(raw), str(raw["id"]))


class ScheduleState:
    """The database. Every method is one transaction, and raises UnknownError where it fails."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open()

    def _open(self) -> None:
        with _as_ours(self.path), only_for_us():
            self._db = sqlite3.connect(self.path, timeout=WAIT_S, isolation_level=None)
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_TABLES)
            self._file = _identity(self.path)

    def is_anew(self) -> bool:
        """True if somebody has taken the file away: then it is begun anew, as any other would.

        Whoever went on with the old one would decide alone what all have to agree on. Raises
        UsageError and UnknownError.
        """
        if _identity(self.path) == self._file:
            return False
        self._db.close()
        own_folder(self.path.parent, "remove it")
        self._open()
        return True

    @classmethod
    def of_user(cls) -> Self:
        """Open that of the user. Raises UsageError and UnknownError."""
        return cls(own_folder(state_dir() / "schedule", "remove it") / FILE)

    def close(self) -> None:
        self._db.close()

    def last_look(self) -> Look | None:
        """The instant at which any scheduler looked last."""
        with self._done() as db:
            found = db.execute("SELECT wall_s, boot_s, awake_s, boot FROM look").fetchone()
        return None if found is None else Look(*found)

    def looked(self, look: Look) -> None:
        with self._done() as db:
            told = (look.wall_s, look.boot_s, look.awake_s, look.boot)
            db.execute("INSERT OR REPLACE INTO look VALUES (1, ?, ?, ?, ?)", told)

    def until(self, path: str) -> int | None:
        """The instant up to which all occurrences of a file are remembered; None: none is."""
        with self._done() as db:
            found = db.execute("SELECT until_s FROM entry WHERE path = ?", (path,)).fetchone()
        return None if found is None else int(found[0])

    def remember(self, path: str, until_s: int, rows: Sequence[tuple[str, int, int]]) -> None:
        """Plan occurrences (name, at, start), and say up to when there are no others.

        One that was left out because it was missed, or no more in the file, counts again when its
        time is to come all the same.
        """
        with self._done() as db:
            db.executemany(f"{_PLAN} AND at_s > {int(until_s)}", [(path, *each) for each in rows])
            db.execute("INSERT OR REPLACE INTO entry VALUES (?, ?)", (path, until_s))

    def add(self, path: str, row: tuple[str, int, int]) -> OccurrenceRow:
        """Plan one (name, at, start) before its turn; as it is remembered then."""
        with self._done() as db:
            db.execute(_PLAN, (path, *row))
            told = f"SELECT {_COLUMNS} FROM occurrence WHERE path = ? AND at_s = ?"
            return OccurrenceRow(*db.execute(told, (path, row[1])).fetchone())

    def summarize(
        self, path: str, name: str, missed: Sequence[int], why: Callable[[int], Message]
    ) -> None:
        """Remember many missed ones as one; those that are remembered already stay as they are."""
        with self._done() as db:
            db.execute("BEGIN IMMEDIATE")
            told = "SELECT at_s FROM occurrence WHERE path = ? AND at_s BETWEEN ? AND ?"
            met = {row[0] for row in db.execute(told, (path, missed[0], missed[-1]))}
            fresh = [at_s for at_s in missed if at_s not in met]
            if fresh:
                db.execute(
                    "INSERT INTO occurrence"
                    " (path, name, at_s, start_s, state, reason, reopens, count)"
                    " VALUES (?, ?, ?, ?, 'skipped', ?, 1, ?)",
                    (path, name, fresh[0], fresh[0], _json(why(len(fresh))), len(fresh)),
                )
            db.execute("INSERT OR REPLACE INTO entry VALUES (?, ?)", (path, missed[-1]))
            db.execute("COMMIT")

    def set_back(self, now_s: int) -> None:
        """The clock was set back: what is remembered of the time to come is no more."""
        with self._done() as db:
            db.execute("UPDATE entry SET until_s = ? WHERE until_s > ?", (now_s, now_s))
            db.execute("DELETE FROM occurrence WHERE count > 1 AND at_s > ?", (now_s,))

    def move(self, row: OccurrenceRow, start_s: int) -> None:
        """The file has another window now: it starts at another minute of it."""
        self._step(row, "start_s = ?", start_s)

    def wait(self, row: OccurrenceRow, why: Message) -> None:
        """It is due and cannot begin yet."""
        self._step(row, "reason = ?", _json(why))

    def skip(self, row: OccurrenceRow, why: Message, *, reopens: bool = False) -> bool:
        """Leave it out for a reason; False where it is no longer planned."""
        told = "state = 'skipped', reason = ?, reopens = ?"
        return self._step(row, told, _json(why), int(reopens))

    def mark_notified(self, row: OccurrenceRow, now_s: int) -> bool:
        """Note that people are told of it; False where they were already."""
        with self._done() as db:
            done = db.execute(
                "UPDATE occurrence SET told_s = ? WHERE path = ? AND at_s = ? AND told_s IS NULL",
                (now_s, row.path, row.at_s),
            )
            return done.rowcount == 1

    def ack(self, row: OccurrenceRow, by: str) -> bool:
        """Somebody agrees that it begins; False where it is no longer planned."""
        return self._step(row, "acked_by = ?", by)

    def claim(
        self, row: OccurrenceRow, target: str, token: str, claimant: tuple[int, str]
    ) -> OccurrenceRow | None:
        """Claim an occurrence and its target, on disk; None when it is ours, else what has it."""
        with self._done() as db:
            db.execute("BEGIN IMMEDIATE")
            busy = db.execute(
                f"SELECT {_COLUMNS} FROM occurrence WHERE state IN ('claimed', 'running')"
                " AND target = ?",
                (target,),
            ).fetchone()
            if busy is not None:
                db.execute("ROLLBACK")
                return OccurrenceRow(*busy)
            done = db.execute(
                "UPDATE occurrence SET state = 'claimed', target = ?, token = ?, pid = ?,"
                " pid_start = ?, reason = NULL WHERE path = ? AND at_s = ? AND state = 'planned'",
                (target, token, *claimant, row.path, row.at_s),
            )
            db.execute("COMMIT")
            return None if done.rowcount else row

    def take_back(self, row: OccurrenceRow) -> bool:
        """Plan a claimed one again whose claimant is gone: its token is worth nothing now."""
        with self._done() as db:
            done = db.execute(
                "UPDATE occurrence SET state = 'planned', target = NULL, token = NULL, pid = NULL,"
                " pid_start = NULL WHERE path = ? AND at_s = ? AND state = 'claimed'"
                " AND token = ?",
                (row.path, row.at_s, row.token),
            )
            return done.rowcount == 1

    def begin(self, token: str, process: tuple[int, str], now_s: int) -> bool:
        """Take a claim up; False where it was taken back meanwhile."""
        with self._done() as db:
            done = db.execute(
                "UPDATE occurrence SET state = 'running', pid = ?, pid_start = ?, begun_s = ?"
                " WHERE token = ? AND state = 'claimed'",
                (*process, now_s, token),
            )
            return done.rowcount == 1

    def name_child(self, token: str, process: tuple[int, str]) -> None:
        """Note the process of the day itself."""
        with self._done() as db:
            told = "UPDATE occurrence SET child = ?, child_start = ? WHERE token = ?"
            db.execute(told, (*process, token))

    def end(self, token: str, exit_code: int, now_s: int) -> bool:
        """The day has ended by itself."""
        with self._done() as db:
            done = db.execute(
                "UPDATE occurrence SET state = 'finished', exit_code = ?, ended_s = ?"
                " WHERE token = ? AND state = 'running'",
                (exit_code, now_s, token),
            )
            return done.rowcount == 1

    def interrupt(self, row: OccurrenceRow, why: Message, now_s: int) -> bool:
        """The processes of a running one are gone, and it has no end."""
        with self._done() as db:
            done = db.execute(
                "UPDATE occurrence SET state = 'interrupted', reason = ?, ended_s = ?"
                " WHERE token = ? AND state = 'running'",
                (_json(why), now_s, row.token),
            )
            return done.rowcount == 1

    def begun_since(self, path: str, since_s: int) -> int:
        """Count the days of a file that began after an instant."""
        with self._done() as db:
            told = "SELECT count(*) FROM occurrence WHERE path = ? AND begun_s > ?"
            return int(db.execute(told, (path, since_s)).fetchone()[0])

    def rows(self, state: str = "", path: str = "", newest: int = 0) -> list[OccurrenceRow]:
        """The occurrences in a state or of a file, in their order; or the `newest` of those."""
        told = f"SELECT {_COLUMNS} FROM occurrence WHERE (? = '' OR state = ?)"
        told += " AND (? = '' OR path = ?) ORDER BY at_s DESC, path"
        with self._done() as db:
            found = db.execute(told + f" LIMIT {newest or -1:d}", (state, state, path, path))
            return [OccurrenceRow(*each) for each in found][::-1]

    def _step(self, row: OccurrenceRow, change: str, *values: str | int) -> bool:
        """Change one that is planned."""
        with self._done() as db:
            done = db.execute(
                f"UPDATE occurrence SET {change} WHERE path = ? AND at_s = ? AND state = 'planned'",
                (*values, row.path, row.at_s),
            )
            return done.rowcount == 1

    @contextmanager
    def _done(self) -> Iterator[sqlite3.Connection]:
        with _as_ours(self.path):
            try:
                yield self._db
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


def _identity(path: Path) -> tuple[int, int] | None:
    """A file, whatever its name leads to later; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _json(why: Message) -> str:
    return json.dumps(why.as_json())


@contextmanager
def _as_ours(path: Path) -> Iterator[None]:
    """Errors of SQLite as ours: a file that is none is a person's matter, the rest may pass."""
    try:
        yield
    except sqlite3.OperationalError as error:  # a full disk, a lock that stays, no permission
        raise UnknownError(f"{path}: {error}", help="make room, or look who holds it") from error
    except sqlite3.DatabaseError as error:
        cure = "move it away: what was decided so far is then forgotten"
        raise UsageError(f"{path}: {error}", help=cure) from error
