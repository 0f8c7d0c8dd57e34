"""The rate one worker keeps on this machine: measured over loopback, in under 5 s.

The rate goes up in a straight line, against a server that answers at once, until the worker falls
behind. Up to then it kept every start in time; from then on it sends what it can. The lower of
the two is what it keeps. The figure is kept in the state folder for as long as the machine is
not booted again; a run that comes near it measures again, as the figure may be of a busy moment.
"""

import json
import os
import select
import sys
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from gameday import __version__
from gameday.core import files
from gameday.core.clock import NS, SystemClock, boot_id
from gameday.core.errors import StackError
from gameday.core.files.private import state_dir
from gameday.traffic.capacity.demand import Demand
from gameday.traffic.capacity.shortfalls import REFUSED_ABOVE

if TYPE_CHECKING:
    import subprocess

    from gameday.traffic.history import Records
    from gameday.traffic.worker.config import Config

RAMP_S: Final = 3.5  # with start and end of the worker under 5 s, as a command may wait
TOP_PER_S: Final = 30_000  # beyond the 18,000/s that the quickest machine so far kept
LATE_MS: Final = 20.0  # below the 50 ms that a run allows (`generator.lag_ms`), above a hiccup
PIECE_S: Final = 0.1  # some hundred starts: p95 needs at least tens
GRACE_S: Final = 0.3  # the server answers at once; what is open then is lost
LEAD_NS: Final = NS // 10  # time for the worker to read its order
READY_S: Final = 20.0  # an interpreter and numpy start in 1 s, on a loaded machine in 10
LONGEST_LINE: Final = 64 * 1024  # the worker's answers are short
FILE: Final = "calibration.json"
ASSUMED_PER_S: Final = 10_000
"""The rate that one worker is assumed to keep where nobody has measured it.

So much it kept in the benchmark on a noisy machine of two cores; on a quiet one 16,000 to 18,000.
"""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The rate one worker keeps; `reached_top` says that it never fell behind."""

    kept_per_s: float
    reached_top: bool
    boot: str
    version: str


def known() -> Calibration | None:
    """The calibration since this machine was booted, by this version; None without one."""
    try:
        found = Calibration(**json.loads(files.read_bytes(state_dir() / FILE, files.SETTING_BYTES)))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return found if (found.boot, found.version) == (boot_id(), __version__) else None


def workers_at_hand(demand: Demand, *, shared: bool) -> int:
    """The most workers: half of the cores where the system is on this machine too, else all.

    Each with a virtual user of every scenario.
    """
    cores = os.cpu_count() or 1
    most = max(1, cores // 2) if shared else cores
    return most if demand.workers_most is None else min(most, demand.workers_most)


def workers_for(demand: Demand) -> int:
    """The number of workers that the peak rate takes, at most as many as there can be.

    None is given more than the share of what it keeps above which a load test is refused.
    """
    measured = known()
    kept_per_s = ASSUMED_PER_S if measured is None else max(measured.kept_per_s, 1.0)
    needed = ceil(round(demand.peak_per_s / (REFUSED_ABOVE * kept_per_s), 6))
    return min(workers_at_hand(demand, shared=False), max(1, needed))


def kept_by_all(demand: Demand, *, shared: bool) -> float | None:
    """The rate that all workers keep, from the calibration of one; None without a calibration."""
    found = known()
    return None if found is None else workers_at_hand(demand, shared=shared) * found.kept_per_s


def kept_per_s(peak_per_s: float, share: float) -> float:
    """The rate one worker keeps. Measured again where `peak_per_s` is more than `share` of it.

    The higher figure counts: what disturbed the lower one was another moment.
    """
    found = known()
    if found is not None and peak_per_s <= share * found.kept_per_s:
        return found.kept_per_s
    again = calibrate()
    return again.kept_per_s if found is None else max(again.kept_per_s, found.kept_per_s)


def calibrate() -> Calibration:
    """Measure now, and keep the figure, or the better one of before. Raises StackError."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="gameday-calibration-") as folder:
        records = _records(Path(folder))
    rate, top = ceiling(records)
    found = Calibration(round(rate, 1), top, boot_id(), __version__)
    before = known()
    if before is None or before.kept_per_s < found.kept_per_s:
        files.replace(state_dir() / FILE, [json.dumps(asdict(found)).encode() + b"\n"])
    return found


def ceiling(records: "Records") -> tuple[float, bool]:
    """The rate at which a ramp from 0 fell behind, and whether it never did.

    `records` hold one start each; the ramp is as `calibrate` makes it.
    """
    import numpy as np

    if not len(records):
        return 0.0, False
    begin_ns = int(records["intended_ns"].min())
    due_s = (records["intended_ns"] - begin_ns) / 1e9
    sent = records["sent_ns"] > 0
    lag_ms = np.where(sent, (records["sent_ns"] - records["intended_ns"]) / 1e6, np.inf)
    edges = np.arange(0, RAMP_S, PIECE_S)
    piece = np.digitize(due_s, edges) - 1
    late = [
        np.percentile(lag_ms[piece == n], 95, method="lower") > LATE_MS
        if (piece == n).any()
        else True
        for n in range(len(edges))
    ]
    # One late piece is a hiccup; after the last one that was in time all are late.
    behind_from = max((n + 1 for n, is_late in enumerate(late) if not is_late), default=0)
    if behind_from == len(edges):
        return float(TOP_PER_S), True
    kept = TOP_PER_S * behind_from * PIECE_S / RAMP_S
    sent_s = (records["sent_ns"][sent] - begin_ns) / 1e9
    behind = np.histogram(sent_s, np.arange(behind_from, len(edges) + 1) * PIECE_S)[0]
    sending = float(np.median(behind)) / PIECE_S
    return (min(kept, sending) if behind_from else sending), False


def _records(folder: Path) -> "Records":
    """One ramp by a real worker against a real server, each a process of its own."""
    import subprocess

    from gameday.traffic import history
    from gameday.traffic.worker.messages import StartTraffic, StopTraffic, order_line

    server = _launch("gameday.traffic.capacity.echo_server")
    worker = _launch("gameday.traffic.worker")
    try:
        port = _line(server, "server")
        _say(worker, _config(folder, int(port)).line)
        _line(worker, "worker")
        _say(worker, order_line(StartTraffic(SystemClock().now_ns() + LEAD_NS)))
        SystemClock().pause(RAMP_S + LEAD_NS / NS)
        _say(worker, order_line(StopTraffic(GRACE_S)))
        worker.communicate(timeout=READY_S)
        return history.read(folder / "ramp-0.bin").records
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise StackError(f"the generator could not be measured: {error}") from error
    finally:
        for child in (worker, server):
            child.kill()
            child.communicate()


def _launch(module: str) -> "subprocess.Popen[bytes]":
    import subprocess

    return subprocess.Popen(
        [sys.executable, "-P", "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ValueError("the child has no pipe")
    return stream


def _line(child: "subprocess.Popen[bytes]", name: str) -> bytes:
    pipe = _pipe(child.stdout)
    if not select.select([pipe], [], [], READY_S)[0]:
        raise ValueError(f"its {name} said nothing within {READY_S:g} s")
    line = pipe.readline(LONGEST_LINE)
    if not line:
        raise ValueError(f"its {name} ended")
    return line


def _say(child: "subprocess.Popen[bytes]", line: bytes) -> None:
    pipe = _pipe(child.stdin)
    pipe.write(line + b"\n")
    pipe.flush()


def _config(folder: Path, port: int) -> "Config":
    from gameday.spec.request import IssueRequest
    from gameday.traffic.schedule.scenario_json import from_json
    from gameday.traffic.worker.config import Config

    request = {
        "post": "/api/v1/coupons/issue",
        "json": {"userId": "{user}", "couponCode": "{coupon}"},
        "timeout": "10s",
        "capture": {"issue_id": "issueId", "remaining": "remaining"},
        "outcomes": {"issued": {"status": 200}},
    }
    stages = [{"target": f"{TOP_PER_S}/s", "duration": f"{RAMP_S}s"}]
    ramp = {"executor": "ramping-arrival-rate", "startRate": "0/s", "stages": stages}
    return Config(
        worker=0,
        workers=1,
        history_dir=folder,
        seed=1,
        run="calibration",
        coupon="calibration",
        users=100_000,
        base_url=f"http://127.0.0.1:{port}",
        request=IssueRequest.model_validate(request),
        scenarios={"ramp": from_json(ramp)},
    )
