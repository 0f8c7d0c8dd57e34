"""One run at a time per target, and a way for other terminals to reach it.

The lock is a file lock (flock), which a dead process cannot hold; the reaper holds it too, so that
nobody begins before it is done. A run takes it when it knows its target's addresses, that is once
its stack is up; from its first moment on it holds another one, its presence. Both files say which
run it is and where its control socket is: `gameday stop` and `ack` find running runs by the locks
that are held.
"""

import asyncio
import hashlib
import json
import os
import socket
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from gameday.core import files
from gameday.core.clock import SystemClock
from gameday.core.errors import SilentRunError, UsageError
from gameday.core.files.private import own_folder, state_dir
from gameday.core.json_objects import plain, read_object
from gameday.core.locks import is_locked, try_lock
from gameday.run.responder.orders import IncidentOrder

SOCKET_BYTES_MAX = 100  # an address has room for 104 bytes on macOS, 108 on Linux
PRESENCE = "run-"
ANSWER_S = 5.0  # an order is answered at once; a controller that is stopped never does
LOOKERS, LOOK_S = 5, 0.02
CONNECTIONS_MAX = 50  # people at terminals, and a script that forgets to hang up
BACKLOG = 128  # more than may be connected at once; older kernels keep no more
LINE_MAX = 16 * 1024  # an order has some 100 bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LockHolder:
    """Content of a lock file: the run that holds it, or in `holder` who else does."""

    run: str = ""
    holder: str | None = None
    pid: int = 0
    runs_dir: Path = Path()
    socket: Path = Path()
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunCommand:
    """A command of another terminal, and who gives it; with the command "order", an order.

    A drill's facilitator has a `token`, says `text` `to` somebody, and means a `number` of a plan.
    """

    cmd: str
    by: str = "person"
    order: IncidentOrder | None = None
    token: str = ""
    to: str = "all"
    text: str = ""
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer of a run; `why` says what is wrong where it is not `ok`.

    `given` is the number of the order in the journal; `pending`: its end is told there.
    """

    ok: bool
    run: str
    why: str = ""
    given: int | None = None
    pending: bool = False


class _Held:
    """A file that is locked for as long as a process has it open, and says what for."""

    def __init__(self, path: Path, about: LockHolder) -> None:
        self.path = path
        self._about = about
        self._file = -1

    def take(self) -> Self:
        """Hold it. Raises UsageError while somebody else does."""
        while True:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            self._lock()
            if _is_still(self.path, self._file):
                break
            os.close(self._file)  # the run before us removed it between our two calls
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, json.dumps(plain(self._about)).encode(), 0)
        return self

    def _lock(self) -> None:
        for _ in range(LOOKERS):
            if try_lock(self._file):
                return
            SystemClock().pause(LOOK_S)  # somebody may only be looking who holds it
        os.close(self._file)
        raise in_use(self.path)

    def drop(self) -> None:
        """Let go of it."""
        self.path.unlink(missing_ok=True)
        os.close(self._file)

    def __enter__(self) -> Self:
        return self.take()

    def __exit__(self, *_: object) -> None:
        self.drop()


class TargetLock(_Held):
    """Held for the length of a run: nobody else may break the same system meanwhile."""

    def __init__(
        self,
        base_url: str,
        toxiproxy: str | None,
        run: str,
        runs_dir: Path,
        hosts: Collection[str] = (),
    ) -> None:
        """`hosts` are those the run may use; who stops it looks there too."""
        about = replace(_about(run, runs_dir), allowed=tuple(sorted(hosts)))
        super().__init__(target_file(base_url, toxiproxy), about)

    def fileno(self) -> int:
        """The file that is locked; whoever else holds it open holds the lock."""
        return self._file


class TargetClosed(_Held):
    """Held while a target is taken away: no run may begin on it. `what` says who does that."""

    def __init__(self, base_url: str, toxiproxy: str | None, what: str) -> None:
        about = LockHolder(holder=what, pid=os.getpid())
        super().__init__(target_file(base_url, toxiproxy), about)


class Presence(_Held):
    """Held by the controller alone, from the first moment of its run to the last."""

    def __init__(self, run: str, runs_dir: Path) -> None:
        about = _about(run, runs_dir)
        super().__init__(_folder() / f"{PRESENCE}{_short(run)}.lock", about)
        self.socket = about.socket

    def drop(self) -> None:
        self.socket.unlink(missing_ok=True)
        super().drop()


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A run that holds a lock now. Without a controller only its reaper is still at work."""

    run: str
    pid: int
    dir: Path
    socket: Path
    has_controller: bool
    allowed: tuple[str, ...] = ()  # the hosts that it may use beside this machine


def _about(run: str, runs_dir: Path) -> LockHolder:
    socket_path = _socket_path(_folder(), _short(run))
    return LockHolder(run=run, pid=os.getpid(), runs_dir=runs_dir.resolve(), socket=socket_path)


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _folder() -> Path:
    return own_folder(state_dir() / "targets", "remove it")


def target_file(base_url: str, toxiproxy: str | None) -> Path:
    """The file that whoever uses this target holds."""
    return _folder() / f"{_short(f'{toxiproxy} {base_url}')}.lock"


def in_use(path: Path) -> UsageError:
    """An error that says who holds a target, and how to end that."""
    held = _read(path)
    who = f"run {held.run}" if held.run else held.holder or "another run"
    help_ = f"gameday stop {held.run} ends it" if held.run else "wait for its end"
    return UsageError(f"{who} (PID {held.pid or '?'}) already uses this target", help=help_)


def _is_still(path: Path, file: int) -> bool:
    """True if the open file is the one that has this name now."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except FileNotFoundError:
        return False


def _read(path: Path) -> LockHolder:
    try:
        return read_object(LockHolder, json.loads(files.read_bytes(path, files.SETTING_BYTES)))
    except (OSError, ValueError):
        return LockHolder()


def running() -> list[UnderWay]:
    """The runs that hold a lock now, as their lock files describe them, oldest first."""
    found: dict[str, UnderWay] = {}
    for path in sorted(_folder().glob("*.lock")):
        held = _read(path) if _is_held(path) else LockHolder()
        if not held.run:
            continue  # nobody's, or of one that is just beginning
        present = path.name.startswith(PRESENCE)
        before = found.get(held.run)
        found[held.run] = UnderWay(
            run=held.run,
            pid=held.pid,
            dir=held.runs_dir / held.run,
            socket=held.socket,
            has_controller=present or (before is not None and before.has_controller),
            allowed=held.allowed or (before.allowed if before else ()),
        )
    return sorted(found.values(), key=lambda each: each.run)


def _is_held(path: Path) -> bool:
    """True if somebody holds it; a presence file of a killed run is held by nobody, and removed."""
    if not path.name.startswith(PRESENCE):
        return is_locked(path)
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        if not try_lock(file, shared=True):
            return True
        if _is_still(path, file):
            stale = _read(path).socket
            if stale.name:
                stale.unlink(missing_ok=True)
            path.unlink(missing_ok=True)  # under the lock: whoever takes it now begins anew
    finally:
        os.close(file)
    return False


def _socket_path(folder: Path, name: str) -> Path:
    """Beside the lock; where that path is too long for a socket, in a temporary folder of ours.

    Raises UsageError where somebody else has that folder.
    """
    path = folder / f"{name}.sock"
    if len(os.fsencode(path)) <= SOCKET_BYTES_MAX:
        return path
    temporary = Path(tempfile.gettempdir())
    if len(os.fsencode(temporary)) > SOCKET_BYTES_MAX // 2:
        temporary = Path("/tmp")
    cure = "set TMPDIR to a folder of yours with a short path"
    return own_folder(temporary / f"gameday-{os.getuid()}", cure) / f"{name}.sock"


async def serve(path: Path, answer: Callable[[RunCommand], Reply]) -> asyncio.Server:
    """Answer orders of other terminals of the same user.

    So many may be connected at once; one more, and the one that has said nothing for longest is
    cut off.
    """
    waiting: dict[asyncio.StreamWriter, None] = {}

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waiting[writer] = None
        if len(waiting) > CONNECTIONS_MAX:
            _cut(next(iter(waiting)), waiting)
        try:
            async with asyncio.timeout(ANSWER_S):
                line = await reader.readline()
                waiting.pop(writer, None)
                writer.write(_line(answer(read_object(RunCommand, json.loads(line)))))
                await writer.drain()
        except (ValueError, RecursionError, OSError, TimeoutError):
            return
        finally:
            _cut(writer, waiting)

    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)  # for its owner alone from the first moment on
    try:
        bound.bind(str(path))
    finally:
        os.umask(mask)
    return await asyncio.start_unix_server(one, sock=bound, limit=LINE_MAX, backlog=BACKLOG)


def _cut(writer: asyncio.StreamWriter, waiting: dict[asyncio.StreamWriter, None]) -> None:
    waiting.pop(writer, None)
    writer.close()


def _line(said: RunCommand | Reply) -> bytes:
    return json.dumps(plain(said)).encode() + b"\n"


async def send_order(run: UnderWay, order: RunCommand) -> Reply:
    """Send one order to a running run, and return its answer; SilentRunError without one."""
    try:
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_unix_connection(run.socket)
            try:
                writer.write(_line(order))
                line = await reader.readline()
            finally:
                writer.close()
            await writer.wait_closed()
            if not line:
                raise ConnectionError("it hung up")
            return read_object(Reply, json.loads(line))
    except (OSError, TimeoutError, ValueError) as error:
        why = str(error) or f"nothing within {ANSWER_S:g} s"
        raise SilentRunError(f"run {run.run} does not answer: {why}") from error
