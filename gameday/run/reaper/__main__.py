"""`python -m gameday.run.reaper RUN_DIR`: watch over one run; the controller starts it.

Standard input is a socket to the controller. It carries lines: the key that the journal is signed
with (hex), in a drill with the one that seals it beside it, then what undoing needs, with the
target's lock beside it, and in the end that the run is done. When it closes without that, the
controller is dead, and everything is undone at once; what a drill has sealed is told then, or when
the controller is done and could not write the key down. When only the lease runs out the controller
may be stopped and wake up again: faults and steps are undone, and its stack is left to it.
"""

import os
import select
import socket
import stat
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from gameday.core.clock import NS, SystemClock
from gameday.core.errors import ExitCode
from gameday.run.reaper import DONE, DONE_UNTOLD
from gameday.run.reaper.lease import LEASE_S, LeaseWatch

if TYPE_CHECKING:
    from gameday.run.reaper.undo_run import Reaping

POLL_S = 0.2  # well below LEASE_S, and next to no processor time
GIVE_UP_S = 180.0  # a Toxiproxy that is away for longer has to be healed by a person
CONFIRM_S = 1.0  # a request of the dead controller may still be on its way to the server
LONGEST_PAUSE_S = 2.0  # a server that comes back is undone within two seconds
LONGEST_READ = 65536  # one order, with a whole environment in it, is some kB


class Watcher:
    """Waits for the end of the run, orderly or not."""

    def __init__(self, run_dir: Path, control: socket.socket) -> None:
        self._run_dir = run_dir
        self._control = control
        self._lease = LeaseWatch(run_dir)
        self._clock = SystemClock()
        self._heard = b""
        self._lock_files: list[int] = []  # held for as long as this process lives
        self._key = b""
        self._sealing = ""
        self._handed = b"{}"  # what undoing needs: read when it is due
        self._done = False
        self._untold = False
        self._alone = False
        self._held = True
        self._settled = True

    @cached_property
    def _reaping(self) -> "Reaping":
        from gameday.core.secrets.signing import SigningKey
        from gameday.evidence.sealed_box import Box
        from gameday.run.reaper.undo_run import Reaping  # loaded when it is due: see the package

        key = SigningKey(self._key) if self._key else None
        box = Box.of(self._sealing) if self._sealing else None
        return Reaping(self._run_dir, self._clock, key, box)

    def watch(self) -> int:
        """Until the run is done or undone; the exit code."""
        self._tell_ready()
        while not self._key and not self._alone:
            self._hear(POLL_S)  # nothing is announced before the key is here
        while not self._done and not self._alone:
            self._look_at_lease()
            self._hear(POLL_S)
        if not self._done:
            return self._undo_all()
        if self._untold:
            self._reaping.debrief()
        return 0

    def _tell_ready(self) -> None:
        try:
            self._control.sendall(b"ready\n")
        except OSError:
            self._alone = True

    def _hear(self, patience_s: float) -> None:
        if not select.select([self._control], [], [], patience_s)[0]:
            return
        try:
            raw, files, _, _ = socket.recv_fds(self._control, LONGEST_READ, 1)
        except ConnectionResetError:
            raw, files = b"", []
        self._lock_files += files
        self._alone = not raw
        *lines, self._heard = (self._heard + raw).split(b"\n")
        for line in lines:
            if line in (DONE, DONE_UNTOLD):
                self._done, self._untold = True, line == DONE_UNTOLD
            elif not self._key:
                key, _, self._sealing = line.decode().partition(" ")
                self._key = bytes.fromhex(key)
            else:
                self._handed = line

    def _look_at_lease(self) -> None:
        """When it ran out, undo what can be undone beside a controller that may wake up."""
        age_s = self._lease.age_s()
        if age_s <= LEASE_S:
            self._held = True
            if age_s > LEASE_S / 2:
                _ = self._reaping  # takes a while to load, on a busy machine
            return
        if self._held and self._lease.claim():
            self._held = self._settled = False
            self._reaping.begin(f"the lease was not renewed for {age_s:.1f} s")
        if not self._settled and age_s < LEASE_S + GIVE_UP_S:
            self._settled = self._attempt(alone=False)

    def _attempt(self, *, alone: bool) -> bool:
        return self._reaping.attempt(self._handed, alone=alone)

    def _undo_all(self) -> int:
        """The controller is dead: undo until nothing is left, and look once more."""
        reaping = self._reaping
        if reaping.run_ended() or not self._lease.claim():
            return 0
        reaping.begin("the controller is gone")
        deadline_ns = self._clock.now_ns() + int(GIVE_UP_S * NS)
        self._try_until(deadline_ns)
        if reaping.look_again():
            # What the controller sent with its last breath may have arrived after the undo.
            self._clock.pause(CONFIRM_S)
            self._try_until(deadline_ns)
        reaping.end()
        reaping.debrief()
        return ExitCode.STUCK if reaping.remaining else ExitCode.PASSED

    def _try_until(self, deadline_ns: int) -> None:
        """Undo until nothing is left, less and less often."""
        pause_s = POLL_S
        while not self._attempt(alone=True):
            if self._clock.now_ns() > deadline_ns:
                return
            self._clock.pause(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def main() -> int:
    """Watch over the run directory that is named."""
    if len(sys.argv) != 2 or not stat.S_ISSOCK(os.fstat(0).st_mode):
        sys.stderr.write("usage: python -m gameday.run.reaper RUN_DIR, its input a socket\n")
        return ExitCode.USAGE
    with socket.socket(fileno=os.dup(0)) as control:
        return Watcher(Path(sys.argv[1]), control).watch()


if __name__ == "__main__":
    sys.exit(main())
