"""Shortfalls: demands of a load test that its generator cannot meet, with the arithmetic.

A `fail` is no matter of luck: so many virtual users cannot start so many requests, however fast
the system is. A `warn` may do: it depends on the system, or lies near a measured figure.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from gameday.traffic.capacity.demand import Demand, VuDemand
from gameday.traffic.capacity.machine import SPARE_FILES, Machine

WARNED_ABOVE: Final = 0.5  # a calibration may have been twice as good as the run's moment
REFUSED_ABOVE: Final = 0.8  # beside a system under test a worker keeps less than alone
FILES_MIN: Final = 1024  # the usual soft limit: with fewer a run is no matter of luck


@dataclass(frozen=True, slots=True)
class Shortfall:
    """One thing there is too little of. `scenario` is "" where it is all of them together."""

    name: Literal["virtual users", "open files", "own ports", "generator"]
    status: Literal["warn", "fail"]
    text: str
    cure: str
    scenario: str = ""


def shortfalls(demand: Demand, machine: Machine, bound_s: float | None = None) -> list[Shortfall]:
    """Everything that is too little. `bound_s` is the tightest latency bound to be judged."""
    return [
        *_virtual_users(demand, bound_s),
        *_files(demand, machine),
        *_ports(demand, machine),
        *_rate(demand, machine),
    ]


def _virtual_users(demand: Demand, bound_s: float | None) -> Iterator[Shortfall]:
    found = [one for users in demand.users for one in _of_scenario(users, bound_s)]
    yield from found
    if len(demand.users) > 1 and any(one.status == "fail" for one in found):
        yield from _together(demand)


def _of_scenario(users: VuDemand, bound_s: float | None) -> Iterator[Shortfall]:
    most = users.ceiling_per_s
    needed_s = users.sleep_s + (bound_s or 0.0)
    needed = max(1, math.ceil(round(users.peak_per_s * needed_s, 6)))
    cure = f"maxVUs: {needed}, or none at all: then nothing is dropped for want of them"
    if most is not None and users.peak_per_s > most:
        text = (
            f"{_count(users.most)} that sleep {users.sleep_s:g} s can start at most {most:g}/s; "
            f"{users.peak_per_s:g}/s was asked"
        )
        yield Shortfall("virtual users", "fail", text, cure, users.scenario)
    elif not users.most and users.peak_per_s:
        text = f"no virtual users can start nothing; {users.peak_per_s:g}/s was asked"
        yield Shortfall("virtual users", "fail", text, cure, users.scenario)
    elif bound_s is not None and users.answer_in_s < bound_s:
        text = (
            f"{_count(users.most)} at {users.peak_per_s:g}/s are all busy once an answer takes "
            f"{users.answer_in_s * 1000:.0f} ms; {bound_s * 1000:g} ms are to be allowed"
        )
        yield Shortfall("virtual users", "warn", text, cure, users.scenario)


def _together(demand: Demand) -> Iterator[Shortfall]:
    """All scenarios at once, where one of them asks too much already."""
    ceiling = demand.ceiling_per_s
    if ceiling is not None and demand.peak_per_s > ceiling:
        sleeps = {users.sleep_s for users in demand.users}
        pause = f" that sleep {sleeps.pop():g} s" if len(sleeps) == 1 else ""
        most = sum(users.most for users in demand.users)
        text = (
            f"all scenarios at once: {_count(most)}{pause} can start at most {ceiling:g}/s; "
            f"{demand.peak_per_s:g}/s was asked"
        )
        cure = "with --force it is run, and speaks for the system up to that rate"
        yield Shortfall("virtual users", "fail", text, cure)


def _count(most: int) -> str:
    return f"{most} VU" if most == 1 else f"{most} VUs"


def _files(demand: Demand, machine: Machine) -> Iterator[Shortfall]:
    """Each connection is a file."""
    needed = demand.open_most + SPARE_FILES
    if machine.files is None or machine.files >= needed:
        return
    status: Literal["warn", "fail"] = "warn" if machine.files >= FILES_MIN else "fail"
    text = f"only {machine.files}, {needed} may be needed"
    yield Shortfall("open files", status, text, f"raise the hard limit: ulimit -Hn {needed}")


def _ports(demand: Demand, machine: Machine) -> Iterator[Shortfall]:
    """A connection to one address takes a port of this machine's own."""
    if machine.ports is None or machine.ports >= demand.open_most:
        return
    status: Literal["warn", "fail"] = "warn" if machine.ports >= FILES_MIN else "fail"
    text = f"{machine.ports} for connections to one address, {demand.open_most} may be needed"
    cure = 'sysctl -w net.ipv4.ip_local_port_range="1024 65535"'
    yield Shortfall("own ports", status, text, cure)


def _rate(demand: Demand, machine: Machine) -> Iterator[Shortfall]:
    """Half of what was measured is safe; above four fifths the run would measure the generator."""
    kept, asked = machine.kept_per_s, demand.reachable_per_s
    if kept is None or asked <= WARNED_ABOVE * kept:
        return
    share = asked / kept if kept else float("inf")
    text = (
        f"{asked:g}/s is {share:.0%} of the {kept:.0f}/s that the generator keeps "
        f"on this machine, as measured over loopback"
    )
    if share <= REFUSED_ABOVE:
        cure = "a quieter machine, or a lower rate: the schedule may not be kept"
        yield Shortfall("generator", "warn", text, cure)
    else:
        more, most = "more cores", demand.workers_most
        if most is not None:
            more += f" and virtual users (a worker needs one of each scenario: {most} at most)"
        cure = f"at most {REFUSED_ABOVE * kept:.0f}/s, or {more}; --force runs it all the same"
        yield Shortfall("generator", "fail", text, cure)
