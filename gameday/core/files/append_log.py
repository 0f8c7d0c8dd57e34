"""Appending to a file from a thread of its own, so that who writes never waits for the disk.

Lines are handed over in order and written in that order, each with one write, so that a killed
process loses at most the lines of its last milliseconds. Whoever must know that a line has
arrived asks: in the kernel, where it survives the process, or on the disk, where it survives the
machine.

Room for the last words is set aside: when the disk is full, a file of `RESERVE_BYTES` beside the
first is removed, the trouble is told, and writing goes on as far as that reaches. Any other error
is told once, and nothing more is written, since what follows a gap proves nothing.
"""

import asyncio
import errno
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

LINES_WAITING = 10_000  # a minute of a busy run; more would fill memory behind a disk that hangs
RESERVE_BYTES = 256 * 1024  # room for some thousand last lines, when the disk is full
ON_DISK_S = 10.0  # an fsync of a busy disk takes 1 to 2 s; beyond it counts as broken
IN_KERNEL_S = 5.0  # a write needs no disk, so half of ON_DISK_S
CLOSE_S = 3.0  # the end of a command may wait so long for the last lines
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class _Mark:
    """Reached when everything before it is written, and on the disk where that is asked."""

    reached: Callable[[], None]
    on_disk: bool


class Appender:
    """The one writer of one file. `failed` is called from the thread, once, with what went wrong.

    Made where an event loop runs, whose tasks may wait for `on_disk`.
    """

    def __init__(self, path: Path, failed: Callable[[OSError], None]) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._reserve = path.with_suffix(".reserve")
        self._failed = failed
        self._queue: SimpleQueue[bytes | _Mark | None] = SimpleQueue()
        self._broken = False
        self.trouble: OSError | None = None
        self._set_aside()
        self._thread = threading.Thread(target=self._work, name=f"append {path.name}", daemon=True)
        self._thread.start()

    def append(self, raw: bytes) -> None:
        """Hand over one line; returns at once."""
        if self._file < 0:
            self._fails(OSError(errno.EBADF, "it is closed"))
        elif self._queue.qsize() >= LINES_WAITING:
            why = f"the disk is too slow: {LINES_WAITING} lines wait for it"
            self._fails(OSError(errno.ETIMEDOUT, why))
            self._broken = True
        elif not self._broken:
            self._queue.put(raw)

    async def on_disk(self) -> OSError | None:
        """Wait, without holding up the loop, until all so far is on the disk; the trouble."""
        loop = asyncio.get_running_loop()
        reached = asyncio.Event()

        def notify() -> None:
            try:
                loop.call_soon_threadsafe(reached.set)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more

        self._queue.put(_Mark(notify, on_disk=True))
        try:
            # `wait_for`, up to Python 3.11, forgets to be cancelled when both come at once, and
            # a step of a playbook would act after the end.
            async with asyncio.timeout(ON_DISK_S):
                await reached.wait()
        except TimeoutError:
            self._fails(OSError(errno.ETIMEDOUT, f"not on the disk within {ON_DISK_S:g} s"))
        return self.trouble

    def in_kernel(self, within_s: float = IN_KERNEL_S) -> OSError | None:
        """Wait here until all so far is written; the trouble. It holds up the caller."""
        reached = threading.Event()
        self._queue.put(_Mark(reached.set, on_disk=False))
        if not reached.wait(within_s):
            self._fails(OSError(errno.ETIMEDOUT, f"not written within {within_s:g} s"))
        return self.trouble

    def close(self) -> OSError | None:
        """Write what waits, for a bounded time, and close; the trouble."""
        if self._file < 0:
            return self.trouble
        self._queue.put(None)
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():  # it hangs in a write, and keeps the file
            self._fails(OSError(errno.ETIMEDOUT, f"not written within {CLOSE_S:g} s"))
        else:
            os.close(self._file)
        self._file = -1
        self._reserve.unlink(missing_ok=True)
        return self.trouble

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                if isinstance(item, bytes):
                    self._put(item)
                elif item.on_disk and not self._broken:
                    os.fdatasync(self._file)
            except OSError as error:
                self._broken = True
                self._fails(error)
            if isinstance(item, _Mark):
                item.reached()

    def _put(self, raw: bytes) -> None:
        while raw and not self._broken:
            try:
                raw = raw[os.write(self._file, raw) :]
            except OSError as error:
                if error.errno not in FULL or not self._make_room():
                    raise
                self._fails(error)

    def _set_aside(self) -> None:
        """Blocks of their own for the last words; a disk without them is full already."""
        try:
            self._reserve.write_bytes(os.urandom(RESERVE_BYTES))  # zeros might take no room
        except OSError as error:
            self._reserve.unlink(missing_ok=True)
            self._fails(error)

    def _make_room(self) -> bool:
        """Give up what was set aside; False when there is nothing any more."""
        try:
            self._reserve.unlink()
        except OSError:
            return False
        return True

    def _fails(self, error: OSError) -> None:
        if self.trouble is None:
            self.trouble = error
            self._failed(error)
