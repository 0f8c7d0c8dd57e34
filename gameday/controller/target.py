"""One run at a time per target, and a way for other terminals to reach it.

The lock is a file lock (flock), which a dead process cannot hold; the reaper holds it too, so that
nobody begins before it is done. The file says which run holds it and where its control socket is;
`gameday ack` finds running runs by the locks that are held.
"""

import asyncio
import fcntl
import hashlib
import json
import os
import socket
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gameday.errors import UsageError
from gameday.stacks.state import state_dir

SOCKET_BYTES_MAX = 100


class TargetLock:
    """Held for the length of a run: nobody else may break the same system meanwhile."""

    def __init__(self, base_url: str, toxiproxy: str | None, run: str, runs_dir: Path) -> None:
        name = hashlib.sha256(f"{toxiproxy} {base_url}".encode()).hexdigest()[:16]
        folder = state_dir() / "targets"
        folder.mkdir(exist_ok=True, mode=0o700)
        self.path = folder / f"{name}.lock"
        self.socket = _socket_path(folder, name)
        self._about = {"run": run, "pid": os.getpid(), "runs_dir": str(runs_dir.resolve())}

    def __enter__(self) -> Self:
        while True:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            self._take()
            if _is_still(self.path, self._file):
                break
            os.close(self._file)  # the run before us removed it between our two calls
        about = json.dumps({**self._about, "socket": str(self.socket)}).encode()
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, about, 0)
        return self

    def _take(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            held = _read(self.path)
            os.close(self._file)
            raise UsageError(
                f"run {held.get('run', '?')} (PID {held.get('pid', '?')}) already uses this target",
                help="wait for it, or end it with Ctrl-C in its terminal",
            ) from error

    def fileno(self) -> int:
        """The file that is locked; whoever else holds it open holds the lock."""
        return self._file

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.socket.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
        os.close(self._file)


def _is_still(path: Path, file: int) -> bool:
    """Whether the open file is the one that has this name now."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except FileNotFoundError:
        return False


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text() or "{}")
    except (OSError, ValueError):
        return {}
    return found


def running() -> list[dict[str, Any]]:
    """The runs that hold a lock now, as their lock files describe them."""
    folder = state_dir() / "targets"
    found = []
    for path in sorted(folder.glob("*.lock")) if folder.exists() else []:
        if _is_held(path):
            found.append(_read(path))
    return [run for run in found if "run" in run]  # one that is just beginning says nothing yet


def _is_held(path: Path) -> bool:
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _socket_path(folder: Path, name: str) -> Path:
    """Beside the lock; in the temporary folder where that path is too long for a socket."""
    path = folder / f"{name}.sock"
    if len(os.fsencode(path)) <= SOCKET_BYTES_MAX:
        return path
    return Path(tempfile.gettempdir()) / f"gameday-{os.getuid()}-{name}.sock"


async def serve(
    path: Path, answer: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> asyncio.Server:
    """Answer orders of other terminals of the same user."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await asyncio.wait_for(reader.readline(), 5)
            writer.write(json.dumps(answer(json.loads(line))).encode() + b"\n")
            await writer.drain()
        except (ValueError, OSError, TimeoutError):
            return
        finally:
            writer.close()

    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)  # for its owner alone from the first moment on
    try:
        bound.bind(str(path))
    finally:
        os.umask(mask)
    return await asyncio.start_unix_server(one, sock=bound)


async def tell(run: Mapping[str, Any], order: Mapping[str, Any]) -> Mapping[str, Any]:
    """Send one order to a running run, and return its answer."""
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_unix_connection(run["socket"])
            writer.write(json.dumps(order).encode() + b"\n")
            line = await reader.readline()
            writer.close()
            await writer.wait_closed()
    except (OSError, TimeoutError, KeyError) as error:
        raise UsageError(f"run {run.get('run', '?')} does not answer: {error}") from error
    answer: dict[str, Any] = json.loads(line)
    return answer
