"""Checks of the traffic generator: they say if this machine can send what the file asks for.

What cannot work is refused, unless it is forced: then the run says up to which rate it speaks
for the system. A rate that was measured on this machine is of another moment; in the run its own
schedule is measured again, and that counts.
"""

from collections.abc import Iterator
from typing import Final

from gameday.core.messages import Message
from gameday.plan.finding import Finding
from gameday.spec.experiment import Experiment
from gameday.spec.inputs import Inputs
from gameday.spec.request import MOST_OPEN
from gameday.telemetry.latency_bounds import tightest_bound_ms
from gameday.traffic.capacity.calibration import ASSUMED_PER_S, workers_at_hand, workers_for
from gameday.traffic.capacity.demand import Demand, demand_of
from gameday.traffic.capacity.machine import SPARE_FILES, Machine, this_machine
from gameday.traffic.capacity.shortfalls import REFUSED_ABOVE, Shortfall, shortfalls
from gameday.traffic.forecast import closed, everything, scenarios_of, scheduled

UNMEASURED_PER_S: Final = 1000
"""Up to this rate nothing needs to be measured: every machine keeps it."""


def demand(inputs: Inputs) -> Demand:
    """The demand of the experiment on its generator, spikes included."""
    experiment = inputs.experiment.experiment
    timeout_s = inputs.system.system.requests.longest_asked_s(
        inputs.experiment.experiment.mixes.values()
    )
    added = everything(experiment)[len(scheduled(experiment)) :]
    return demand_of(scenarios_of(experiment), timeout_s, added)


def checks(
    inputs: Inputs, kept_per_s: float | None = None, *, force: bool = False, shared: bool = True
) -> Iterator[Finding]:
    """Virtual users, rate, open requests, files and ports, one finding each.

    `kept_per_s` is what all workers were measured to keep; `shared` says that the system is on this
    machine too, and takes half of its cores.
    """
    asked, machine = demand(inputs), this_machine(kept_per_s)
    bound_ms = tightest_bound_ms(inputs.experiment.experiment)
    found = shortfalls(asked, machine, None if bound_ms is None else bound_ms / 1000)
    for each in found:
        yield _finding(inputs, each, force=force)
    short: set[str] = {each.name for each in found}
    if "generator" not in short:
        yield _rate(inputs.experiment.experiment, asked, machine, shared=shared)
    yield from _fine(asked, machine, short)


def _finding(inputs: Inputs, short: Shortfall, *, force: bool) -> Finding:
    document = inputs.experiment.document
    keys = ("traffic", short.scenario) if short.scenario else ("traffic",)
    ours = short.name in ("virtual users", "generator")
    text = f"{document.place(*keys)}: {short.text}" if ours else short.text
    forced = force and ours
    status = "warn" if forced else short.status
    cure = "forced: the run speaks for the system only as far" if forced else short.cure
    return Finding(short.name, status, text, cure, usage=ours)


def _fine(asked: Demand, machine: Machine, short: set[str]) -> Iterator[Finding]:
    """Findings about the resources that are sufficient."""
    at_most = asked.open_most == MOST_OPEN
    id_ = "finding.open_requests_most" if at_most else "finding.open_requests"
    yield Finding("open requests", "ok", Message(id_, n=asked.open_most))
    if "open files" not in short:
        no_limit = Message("finding.no_limit")
        limit = no_limit if machine.files is None else Message("finding.up_to", n=machine.files)
        needed = asked.open_most + SPARE_FILES
        yield Finding("open files", "ok", Message("finding.needed", limit=limit, n=needed))
    if "own ports" not in short and machine.ports is not None:
        text = Message("finding.own_ports", ports=machine.ports, n=asked.open_most)
        yield Finding("own ports", "ok", text)


def _rate(experiment: Experiment, asked: Demand, machine: Machine, *, shared: bool) -> Finding:
    """The highest rate beside what the workers that it takes keep, measured here or elsewhere."""
    kept, by_whom = machine.kept_per_s, Message("finding.kept_here")
    if kept is None:
        workers = min(workers_for(asked), workers_at_hand(asked, shared=shared))
        kept = workers * ASSUMED_PER_S
        one = Message("finding.kept_by_one")
        by_whom = one if workers == 1 else Message("finding.kept_by", n=workers)
    asking = closed(experiment)
    also = Message("finding.rate_closed", scenarios=", ".join(asking)) if asking else ""
    peak = {"peak_per_s": asked.peak_per_s, "kept_per_s": kept}
    text = Message("finding.rate", **peak, by_whom=by_whom, also=also)
    if asked.peak_per_s <= REFUSED_ABOVE * kept:
        return Finding("generator", "ok", text)
    cure = "expect a limited generator: `gameday doctor --calibrate` measures what is kept here"
    return Finding("generator", "warn", text, cure)
