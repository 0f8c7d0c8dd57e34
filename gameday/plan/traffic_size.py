"""Demand of the traffic on stock, users and disk: arithmetic over the file.

What it asks of its generator is in `generator`.
"""

import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from gameday.core.messages import Message
from gameday.plan.finding import Finding
from gameday.spec.experiment import Experiment
from gameday.spec.inputs import Inputs
from gameday.traffic.capacity.demand import peak_of
from gameday.traffic.forecast import (
    closed,
    distinct_users,
    everything,
    expected_starts,
    sell_out_s,
    traffic_end_s,
)
from gameday.traffic.history import HEAD_BYTES, RECORD

SAMPLE_BYTES_PER_S = 6_000
ROW_BYTES = 200  # a row of audit.json twice, as the store and the system tell it
FIXED_BYTES = 1_000_000
DISK_SPARE = 2.0  # logs of the parts, and the estimate itself
REPEATS_MAX = 0.75  # three of four requests only hear that they have one already
_MB = 1_000_000


def peak_per_s(experiment: Experiment) -> float:
    """The highest rate of all scenarios and spikes together."""
    return peak_of(everything(experiment))


def evidence_bytes(experiment: Experiment) -> int:
    """About how much the run directory takes: a record a start, samples, and the audit's rows."""
    starts, length_s = expected_starts(experiment), traffic_end_s(experiment)
    issued = min(starts, experiment.campaign.stock or starts, experiment.campaign.users)
    records = HEAD_BYTES * len(experiment.traffic) + starts * RECORD.itemsize
    return int(records + SAMPLE_BYTES_PER_S * length_s + ROW_BYTES * issued + FIXED_BYTES)


def checks(inputs: Inputs, runs_dir: Path) -> Iterator[Finding]:
    """Stock, users and disk, one finding each."""
    experiment = inputs.experiment.experiment
    if inputs.system.system.issues:
        yield _stock(inputs)
        yield _users(inputs)
    yield _disk(experiment, runs_dir)


def _stock(inputs: Inputs) -> Finding:
    experiment = inputs.experiment.experiment
    where = str(inputs.experiment.document.place("campaign", "stock"))
    stock, starts = experiment.campaign.stock, expected_starts(experiment)
    if stock is None:
        return Finding("stock", "ok", Message("finding.stock_asked"))
    if stock == 0:
        none = f"{where}: 0 coupons: nothing can be issued, so nothing is exercised"
        return Finding("stock", "warn", none, "raise the stock")
    sold_out = sell_out_s(experiment, inputs.system.system.semantics)
    if closed(experiment):
        text = Message("finding.stock_closed", stock=stock)
    elif sold_out is None:
        text = Message("finding.stock_enough", stock=stock, starts=starts)
    else:
        text = Message("finding.stock_gone", stock=stock, at_s=sold_out)
    return Finding("stock", "ok", text)


def _users(inputs: Inputs) -> Finding:
    """Who asks again is told that he has one, where he may have one.

    Nobody knows how often virtual users ask.
    """
    semantics = inputs.system.system.semantics
    experiment = inputs.experiment.experiment
    campaign, starts = experiment.campaign, expected_starts(experiment)
    where = str(inputs.experiment.document.place("campaign", "users"))
    users = campaign.users
    different = distinct_users(experiment, math.inf)
    repeats = max(0.0, 1 - different / starts) if starts else 0.0
    text = Message(
        "finding.users", users=users, each=starts / users, different=different, repeats=repeats
    )
    most = semantics.most_each
    if most is None:
        return Finding("users", "ok", text)
    issues = None if campaign.stock is None else semantics.issues_of(campaign.stock)
    most_taken = users * most if most > 1 else users - 1  # the last user of all may never come
    if issues is not None and issues > most_taken:
        each = "one each" if most == 1 else f"{most} each at most"
        few = f"{where}: {users} users cannot take {campaign.stock} coupons, {each}"
        return Finding("users", "warn", few, "more users, or less stock")
    meant = {each.population for each in experiment.traffic.values()} - {"uniform", "once"}
    if repeats > REPEATS_MAX and not meant and most == 1:
        cure = "more users: a repeat tests no issuing"
        return Finding("users", "warn", f"{where}: {text}", cure)
    return Finding("users", "ok", text)


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
    needed_mb = max(1, round(needed / _MB))
    text = Message("finding.evidence", mb=needed_mb, folder=str(runs_dir), free_mb=free // _MB)
    if free < needed:
        return Finding("evidence", "fail", text, "make room, or name another folder: --runs DIR")
    if free < needed * DISK_SPARE:
        return Finding("evidence", "warn", text, "make room: the estimate may be too low")
    return Finding("evidence", "ok", text)
