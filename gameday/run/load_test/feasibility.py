"""Feasibility of a load before it is sent, and the number of workers it takes: arithmetic."""

from dataclasses import replace

from gameday.run.load_test.request import Load
from gameday.telemetry.latency_bounds import tightest_bound_ms
from gameday.traffic.capacity import calibration
from gameday.traffic.capacity.demand import Demand, demand_of
from gameday.traffic.capacity.machine import this_machine
from gameday.traffic.capacity.shortfalls import Shortfall, shortfalls
from gameday.traffic.forecast import scenarios_of


def demand(load: Load) -> Demand:
    """The highest demand on the generator."""
    timeout_s = load.system.requests.issue.timeout.total_seconds()
    return demand_of(scenarios_of(load.experiment), timeout_s)


def with_enough_workers(load: Load) -> Load:
    """The load with as many workers as its highest rate takes."""
    return replace(load, workers=calibration.workers_for(demand(load).peak_per_s))


def lacking(load: Load) -> list[Shortfall]:
    """Resources of this machine that do not suffice."""
    known = calibration.known()
    kept_per_s = None if known is None else known.kept_per_s * load.workers
    bound_ms = tightest_bound_ms(load.experiment)
    bound_s = None if bound_ms is None else bound_ms / 1000
    return shortfalls(demand(load), this_machine(kept_per_s), bound_s)
