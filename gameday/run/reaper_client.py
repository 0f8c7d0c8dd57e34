"""The reaper as the controller sees it: started first, kept informed, told when the run is done.

While it lives the controller renews its lease from its event loop. A controller that was stopped
or suspended for longer than the lease finds that out at its next renewal, and ends the run.
"""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gameday.core.clock import NS, Clock
from gameday.core.errors import StackError
from gameday.core.files.logs import how_it_ended, last_lines, last_words
from gameday.core.json_objects import plain
from gameday.core.network.allow_list import Reach
from gameday.core.secrets.signing import SigningKey
from gameday.evidence.sealed_box import Box
from gameday.run.reaper import DONE, DONE_UNTOLD
from gameday.run.reaper.hand_over import HandOver
from gameday.run.reaper.lease import RENEW_S, Lease

READY_S = 20.0  # it loads little: only an overloaded machine takes seconds
END_S = 10.0  # it has only to read the order and to exit
KILLED_S = 5.0  # a killed process that hangs in the kernel is not waited for longer


class Reaper:
    """The process, and the lease it watches."""

    name = "reaper"

    def __init__(self, run_dir: Path, clock: Clock, lost: Callable[[str], None]) -> None:
        """`lost` is called, with why, when the lease was lost."""
        self._run_dir = run_dir
        self._lost = lost
        self._clock = clock
        self._log = run_dir / "logs" / "reaper.log"
        self._control, self._theirs = socket.socketpair()
        self._control.setblocking(False)  # noqa: FBT003
        self._process: subprocess.Popen[bytes] | None = None
        self._renewing: asyncio.Task[None] | None = None

    async def launch(self, key: SigningKey, box: Box | None = None) -> None:
        """Start it, and wait until it watches: nothing that needs undoing comes before.

        It obeys what `key` has signed, and reads what a drill has sealed in `box`; no file and no
        environment shows the keys to anybody.
        """
        try:
            lease = Lease(self._run_dir)
            self._process = self._spawn()
        except OSError as error:
            raise StackError(f"the reaper cannot be started: {error}") from error
        self._renewing = asyncio.create_task(self._renew(lease))
        hearing = asyncio.get_running_loop().sock_recv(self._control, 64)
        try:
            ready = await asyncio.wait_for(hearing, READY_S)
        except (TimeoutError, OSError):
            ready = b""
        if not ready:
            raise StackError(f"the reaper did not get ready:\n{self.last_words()}")
        keys = [key.secret.hex(), *([] if box is None else [box.text])]
        await self._send(" ".join(keys).encode())

    async def hand_over(self, lock: int, environment: Mapping[str, str], reach: Reach) -> None:
        """Let it hold the target's lock too, and know what undoing needs, and where it may go."""
        told = HandOver(environment=environment, reach=reach)
        await self._send(json.dumps(plain(told)).encode(), [lock])

    async def _send(self, line: bytes, files: Sequence[int] = ()) -> None:
        raw = line + b"\n"
        try:
            sent = socket.send_fds(self._control, [raw], files) if files else 0
            rest = asyncio.get_running_loop().sock_sendall(self._control, raw[sent:])
            await asyncio.wait_for(rest, READY_S)
        except (TimeoutError, OSError) as error:
            problem = str(error) or f"it does not listen for {READY_S:g} s"
            raise StackError(f"the reaper is gone: {problem}") from error

    @property
    def died(self) -> bool:
        """True if it ended although the run goes on."""
        return self._process is not None and self._process.poll() is not None

    async def was_killed(self) -> bool:
        """True if a signal ended it; for one that has died."""
        return self._process is not None and (self._process.poll() or 0) < 0

    def why(self) -> str:
        """Why it ended, in one line."""
        status = None if self._process is None else self._process.poll()
        return ": ".join([how_it_ended(status), *last_lines(self._log, 1)])

    def last_words(self) -> str:
        """The end of its log."""
        return last_words(self._log)

    async def finish(self, *, untold: bool = False) -> None:
        """Tell it that the run is done, and wait for its end.

        `untold`: the key of a drill is not in the journal, and is its to tell.
        """
        if self._renewing is None or self._process is None:
            self._close()
            return
        try:
            self._control.send((DONE_UNTOLD if untold else DONE) + b"\n")
        except OSError:  # it has died before; the run was aborted for it
            self._process.poll()
        self._close()
        if not await self._has_ended(self._process, END_S):
            self._process.kill()  # it was told that all is done, and holds the target's lock
            await self._has_ended(self._process, KILLED_S)
        self._renewing.cancel()
        await asyncio.gather(self._renewing, return_exceptions=True)

    def let_go(self) -> None:
        """Close the socket: to the reaper the controller is dead, and it undoes all at once."""
        self._close()

    async def _has_ended(self, process: "subprocess.Popen[bytes]", within_s: float) -> bool:
        deadline_ns = self._clock.now_ns() + int(within_s * NS)
        while process.poll() is None and self._clock.now_ns() < deadline_ns:
            await self._clock.sleep(0.02)
        return process.poll() is not None

    def _close(self) -> None:
        self._control.close()
        self._theirs.close()

    def _spawn(self) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "gameday.run.reaper", str(self._run_dir.resolve())],
                stdin=self._theirs.fileno(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._theirs.close()
        return process

    async def _renew(self, lease: Lease) -> None:
        """Renew the lease until cancelled, and end the run when it was lost."""
        try:
            while True:
                await self._clock.sleep(RENEW_S)
                why = _renewed(lease)
                if why:
                    self._lost(why)
        finally:
            lease.close()


def _renewed(lease: Lease) -> str:
    """Why the run is lost, "" while it is not."""
    try:
        return lease.renew()
    except OSError as error:
        return f"the lease cannot be renewed: {error}"
