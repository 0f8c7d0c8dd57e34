"""The lease: a stamp in the run directory that the controller renews while it lives.

The stamp is an instant of CLOCK_BOOTTIME, which goes on while the machine is suspended and does
not jump with the wall clock. The reaper claims a run by making the file `reaped`, which can be
made only once; a controller that finds it, or that finds its own stamp too old, has lost the run.
"""

import os
from pathlib import Path

from gameday.core.clock import NS, boottime_ns

# Longer than a live controller stands still on a slow disk; a fault outlives a dead one by it.
LEASE_S = 5.0
RENEW_S = 1.0  # five chances before the lease is over
_STAMP = "lease"
_CLAIM = "reaped"


class Lease:
    """The controller's side."""

    def __init__(self, run_dir: Path) -> None:
        self._claim = run_dir / _CLAIM
        self._file = os.open(run_dir / _STAMP, os.O_RDWR | os.O_CREAT, 0o600)
        self._renewed_ns = boottime_ns()
        self.renew()

    def renew(self) -> str:
        """Write the stamp; why the run is lost, "" while it is not. Raises OSError."""
        now_ns = boottime_ns()
        late_s = (now_ns - self._renewed_ns) / NS
        # Always as many bytes in the same place: never torn, and no room on the disk is needed.
        os.pwrite(self._file, b"%020d\n" % now_ns, 0)
        self._renewed_ns = now_ns
        if self._claim.exists():
            return "the lease ran out, and the reaper has undone the run"
        return f"the lease was not renewed for {late_s:.1f} s" if late_s > LEASE_S else ""

    def close(self) -> None:
        os.close(self._file)


class LeaseWatch:
    """The reaper's side."""

    def __init__(self, run_dir: Path) -> None:
        self._stamp = run_dir / _STAMP
        self._claim = run_dir / _CLAIM
        self._seen_ns = boottime_ns()
        self._claimed = False

    def age_s(self) -> float:
        """Seconds since the stamp was renewed; one that cannot be read counts as not renewed."""
        try:
            self._seen_ns = int(self._stamp.read_bytes())
        except (OSError, ValueError):
            pass  # the one seen before grows old, and that says it all
        return (boottime_ns() - self._seen_ns) / NS

    def claim(self) -> bool:
        """Claim the undoing of the run for this process; False if somebody else has it."""
        if not self._claimed:
            try:
                os.close(os.open(self._claim, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            except FileExistsError:
                return False
            except OSError:
                return True  # a full disk must not keep a fault in place; it is claimed later
            self._claimed = True
        return True
