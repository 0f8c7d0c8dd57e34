"""What the traffic asks for: of the stock, the users, the generator, files, ports and the disk.

Arithmetic over the file, held against what this machine gives. What the generator can do is a
measured figure of another moment; in the run its own schedule is measured again, and that counts.
"""

import math
import os
import resource
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from gameday.experiment import Experiment
from gameday.history import HEAD_BYTES, RECORD
from gameday.loading import Inputs, closed, expected_starts, sell_out_s, traffic_end_s
from gameday.loading.timing import Segment, askers, everything, starts_for
from gameday.plan.finding import Finding, Status
from gameday.plan.machine import FILES_MIN
from gameday.workload import vus

KEPT_PER_S = 3000
"""What one worker was measured to send in full on two busy cores; of 5,000 it sent 3,900.

By `tests/benchmarks/bench_traffic.py`, against a server on the same cores.
"""
MOST_OPEN = 10_000
"""The most requests a worker holds open (CONTRACTS.md, "Traffic limits")."""
OPEN_SHARE = 1.1
SPARE_FILES = 100
SAMPLE_BYTES_PER_S = 6_000
ROW_BYTES = 200
FIXED_BYTES = 1_000_000
DISK_SPARE = 2.0
REPEATS_MAX = 0.75
_MB = 1_000_000
_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


def peak_per_s(experiment: Experiment) -> float:
    """The highest rate of all scenarios and spikes together: it is reached where a line ends."""
    lines = everything(experiment)
    edges = sorted({edge for line in lines for edge in (line.begin_s, line.end_s)})
    highest = 0.0
    for begin_s, end_s in pairwise(edges):
        through = [line for line in lines if line.begin_s <= begin_s and end_s <= line.end_s]
        for at_s in (begin_s, end_s):
            highest = max(highest, sum(_rate_at(line, at_s) for line in through))
    return highest


def _rate_at(line: Segment, at_s: float) -> float:
    """The rate of a line at one of its own instants."""
    passed = (at_s - line.begin_s) / (line.end_s - line.begin_s)
    return line.begin_per_s + (line.end_per_s - line.begin_per_s) * passed


def evidence_bytes(experiment: Experiment) -> int:
    """About how much the run directory takes: a record a start, samples, and the audit's rows."""
    starts, length_s = expected_starts(experiment), traffic_end_s(experiment)
    issued = min(starts, experiment.campaign.stock or starts, experiment.campaign.users)
    records = HEAD_BYTES * len(experiment.traffic) + starts * RECORD.itemsize
    return int(records + SAMPLE_BYTES_PER_S * length_s + ROW_BYTES * issued + FIXED_BYTES)


def checks(inputs: Inputs, runs_dir: Path) -> Iterator[Finding]:
    """Everything the traffic asks for, one finding each."""
    experiment = inputs.experiment.experiment
    yield _stock(inputs)
    yield _users(inputs)
    yield _generator(inputs)
    open_most = peak_per_s(experiment) * OPEN_SHARE * _timeout_s(inputs)
    open_most += sum(vus(experiment.traffic[name]).max for name in closed(experiment))
    yield from _open_requests(open_most, _timeout_s(inputs))
    yield _disk(experiment, runs_dir)


def _timeout_s(inputs: Inputs) -> float:
    return inputs.system.system.requests.issue.timeout.total_seconds()


def _stock(inputs: Inputs) -> Finding:
    experiment = inputs.experiment.experiment
    where = str(inputs.experiment.document.place("campaign", "stock"))
    stock, starts = experiment.campaign.stock, expected_starts(experiment)
    if stock is None:
        return Finding("stock", "ok", "taken from the system's audit before the traffic")
    if stock == 0:
        text = f"{where}: 0 coupons: nothing can be issued, so nothing is exercised"
        return Finding("stock", "warn", text, "raise the stock")
    sold_out = sell_out_s(experiment)
    if closed(experiment):
        text = f"{stock} coupons; virtual users take them as fast as they are answered"
    elif sold_out is None:
        text = f"{stock} coupons are enough for {starts:.0f} requests: no sell-out is expected"
    else:
        text = f"{stock} coupons, expected to be gone at {sold_out:.0f} s"
    return Finding("stock", "ok", text)


def _users(inputs: Inputs) -> Finding:
    """Who asks again is told that he has one. Nobody knows how often virtual users ask."""
    experiment = inputs.experiment.experiment
    campaign, starts = experiment.campaign, expected_starts(experiment)
    where = str(inputs.experiment.document.place("campaign", "users"))
    users = campaign.users
    different = askers(experiment, math.inf)
    repeats = max(0.0, 1 - different / starts) if starts else 0.0
    text = (
        f"{users} users, {starts / users:.2g} requests each: about {different:.0f} different ones "
        f"ask, {repeats:.0%} of the requests are repeats"
    )
    if campaign.stock is not None and math.isinf(starts_for(users, campaign.stock)):
        few = f"{where}: {users} users cannot take {campaign.stock} coupons, one each"
        return Finding("users", "warn", few, "more users, or less stock")
    if repeats > REPEATS_MAX:
        cure = "more users: a repeat tests no issuing"
        return Finding("users", "warn", f"{where}: {text}", cure)
    return Finding("users", "ok", text)


def _generator(inputs: Inputs) -> Finding:
    peak = peak_per_s(inputs.experiment.experiment)
    text = f"at most {peak:g} requests a second; one worker was measured to keep {KEPT_PER_S}"
    asking = closed(inputs.experiment.experiment)
    if asking:
        text += f"; the virtual users of {', '.join(asking)} ask as fast as they are answered"
    if peak <= KEPT_PER_S:
        return Finding("generator", "ok", text)
    where = inputs.experiment.document.place("traffic")
    cure = "expect a limited generator: `make bench` measures what this machine keeps"
    return Finding("generator", "warn", f"{where}: {text}", cure)


def _open_requests(open_most: float, timeout_s: float) -> Iterator[Finding]:
    """How many requests, and so connections, a system that stops answering would hold open."""
    text = f"{min(open_most, MOST_OPEN):.0f} if nothing is answered for {timeout_s:g} s"
    if open_most > MOST_OPEN:
        text += f"; {MOST_OPEN} is the most, starts beyond it are dropped as system-saturated"
    yield Finding("open requests", "ok", text)
    connections = math.ceil(min(open_most, MOST_OPEN))
    yield _files(connections)
    yield from _ephemeral(connections)


def _files(connections: int) -> Finding:
    """Every process raises its soft limit to the hard one; each connection is a file."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    needed = connections + SPARE_FILES
    if hard == resource.RLIM_INFINITY or hard >= needed:
        limit = "no limit" if hard == resource.RLIM_INFINITY else f"up to {hard}"
        return Finding("open files", "ok", f"{limit}, {needed} are needed at most")
    status: Status = "warn" if hard >= FILES_MIN else "fail"
    cure = f"raise the hard limit: ulimit -Hn {needed}"
    return Finding("open files", status, f"only {hard}, {needed} may be needed", cure)


def _ephemeral(connections: int) -> Iterator[Finding]:
    """A connection to one address takes a port of this machine's own."""
    if not _PORTS.exists():
        return
    low, high = (int(text) for text in _PORTS.read_text().split())
    there = high - low + 1
    text = f"{there} ports for connections to one address, {connections} are needed at most"
    if connections <= there:
        yield Finding("own ports", "ok", text)
    else:
        cure = 'sysctl -w net.ipv4.ip_local_port_range="1024 65535"'
        yield Finding("own ports", "warn", text, cure)


def _disk(experiment: Experiment, runs_dir: Path) -> Finding:
    """Room for the evidence, and a folder that may be written."""
    folder = runs_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    where = f"evidence in {runs_dir}"
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        cure = "name another folder: --runs DIR"
        return Finding("evidence", "fail", f"{where}: {folder} cannot be written", cure, usage=True)
    needed, free = evidence_bytes(experiment), shutil.disk_usage(folder).free
    text = f"about {max(1, round(needed / _MB))} MB in {runs_dir}, {free // _MB} MB are free"
    if free < needed:
        return Finding("evidence", "fail", text, "make room, or name another folder: --runs DIR")
    if free < needed * DISK_SPARE:
        return Finding("evidence", "warn", text, "make room: the estimate may be too low")
    return Finding("evidence", "ok", text)
