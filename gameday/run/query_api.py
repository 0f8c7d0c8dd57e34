"""The query API of a run: what it serves, and the process beside a run that is under way.

That process is in a session of its own, so that Ctrl-C of the run is not its end. It has nothing of
our environment but what Python needs, and ends when the run does, however that ends: it holds the
other end of a pipe.
"""

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from gameday.core.clock import SystemClock, wall_time_ns
from gameday.core.errors import UnknownError, UsageError
from gameday.core.json_objects import plain
from gameday.evidence.events import RunStarted
from gameday.evidence.journal import JOURNAL_FILE, first
from gameday.evidence.journal import read as read_journal
from gameday.spec.experiment import Experiment
from gameday.spec.system import System
from gameday.spec.yaml import shown_path
from gameday.telemetry.query_api.__main__ import QueryApiOrder
from gameday.telemetry.query_api.settings import QueryApiSettings
from gameday.telemetry.samples import read as read_samples
from gameday.telemetry.sources.choice import prometheus_of

END_S: Final = 3.0  # it closes within one; then it is killed
LOG: Final = "query-api.log"
_PASSED_ON: Final = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TZ")


def refuse_measured_elsewhere(experiment: Experiment, system: System) -> None:
    """Raise UsageError where a Prometheus measures the run: it answers for itself."""
    asked = prometheus_of(experiment, system)
    if asked is not None:
        raise UsageError(
            f"the run is measured by the Prometheus at {asked.url}",
            help="point dashboards and clients at that one",
        )


def settings_of(
    run_dir: Path, *, is_over: bool, prometheus: Literal["2", "3"] = "3"
) -> QueryApiSettings:
    """The settings for a run directory. Raises UnknownError where its journal does not begin."""
    started = first(read_journal(run_dir / JOURNAL_FILE).records, RunStarted)
    if started is None or started.event.wall_ns is None:
        raise UnknownError(f"{shown_path(run_dir)}: the run does not say when it began")
    made = _settings(run_dir, started.event.wall_ns - started.t_ns)
    return replace(made, is_over=is_over, prometheus=prometheus)


def _settings(run_dir: Path, wall_offset_ns: int) -> QueryApiSettings:
    return QueryApiSettings(
        run=run_dir.name,
        samples=run_dir / "samples.jsonl",
        rules=run_dir / "inputs" / "rules",
        wall_offset_ns=wall_offset_ns,
    )


def ending_at(settings: QueryApiSettings, wall_ns: int) -> QueryApiSettings:
    """The same run moved in time, so that its last sample is at `wall_ns`."""
    last_ns = max((line.t_ns for line in read_samples(settings.samples)), default=None)
    if last_ns is None:
        return settings
    return replace(settings, wall_offset_ns=wall_ns - last_ns)


@dataclass(frozen=True, slots=True)
class LaunchedQueryApi:
    """A query API that was started; it hears of our end by the `pipe`, open until then."""

    process: "subprocess.Popen[bytes]"
    pipe: int

    def close(self) -> None:
        """End it, and wait until it has."""
        os.close(self.pipe)
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def launch(run_dir: Path, bound: socket.socket) -> LaunchedQueryApi:
    """Serve a run that has begun at a socket, which from now on is the other process' alone."""
    # Now, as the collector does: the journal of a run that has just begun may not be there yet.
    settings = _settings(run_dir.resolve(), wall_time_ns() - SystemClock().now_ns())
    reads, writes = os.pipe()
    # The folder gameday is called from must not shadow what it imports.
    argv = [sys.executable, "-P", "-m", "gameday.telemetry.query_api", "--fd", str(reads)]
    with (run_dir / "logs" / LOG).open("ab") as log:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[reads, bound.fileno()],
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            start_new_session=True,
        )
    os.close(reads)
    order = QueryApiOrder(
        run=settings.run,
        samples=settings.samples,
        rules=settings.rules,
        wall_offset_ns=settings.wall_offset_ns,
        socket=bound.fileno(),
    )
    os.write(writes, json.dumps(plain(order)).encode() + b"\n")
    bound.close()
    return LaunchedQueryApi(process, writes)
