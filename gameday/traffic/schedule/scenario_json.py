"""A scenario as JSON: for the line that a worker hears first, and for the head of a history.

The keys are the experiment file's (docs/reference.md), durations and rates
are text, and what is left out has k6's default. Traffic that a fault adds says `start_ns` instead
of `startTime`, and a `duration` of null lasts until it is switched off. Keys that nobody knows
are passed over, and limits are not looked at again: the histories of any version are read.
"""

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from gameday.core.json_objects import Json, json_object
from gameday.core.units import Rate, format_duration, nanoseconds, parse_duration
from gameday.traffic.schedule.arrival_rate import ArrivalRate, RampingRate, RateStage
from gameday.traffic.schedule.scenario import Population, RetryPolicy, Scenario, VuLimit
from gameday.traffic.schedule.virtual_users import VirtualUsers, VuRamp

if TYPE_CHECKING:
    from gameday.spec.experiment import AnyScenario

_GRACEFUL = "30s"  # k6's default


def from_model(model: "AnyScenario") -> Scenario:
    """A scenario of an experiment, whose durations and rates are read already."""
    return _scenario(model.model_dump())


def from_json(spec: object) -> Scenario:
    """A scenario that can be kept. Raises ValueError for any other."""
    try:
        scenario = _scenario(json_object(spec))
    except KeyError as error:
        raise ValueError(f"{error} is missing") from error
    except (TypeError, AttributeError) as error:
        raise ValueError(str(error)) from error
    scenario.check()
    return scenario


def _scenario(spec: Json) -> Scenario:
    again = spec.get("retries")
    first, most = spec.get("preAllocatedVUs"), spec.get("maxVUs")
    return replace(
        _of_executor(spec),
        start_ns=int(spec["start_ns"]) if "start_ns" in spec else _ns(spec.get("startTime", 0)),
        graceful_stop_ns=_ns(spec.get("gracefulStop", _GRACEFUL)),
        sleep_ns=_ns(spec.get("sleep", 0)),
        population=Population.from_json(spec.get("population")),
        retries=RetryPolicy(int(again["at_most"]), _ns(again.get("backoff", 0)))
        if again
        else RetryPolicy(),
        # k6's rule: preAllocatedVUs at first, maxVUs at most, as many where it is not given.
        limit=None if first is None else VuLimit(int(first), int(first if most is None else most)),
    )


def _of_executor(spec: Json) -> Scenario:
    executor = spec["executor"]
    if executor == "constant-arrival-rate":
        length = spec["duration"]
        return ArrivalRate(
            rate=Rate.parse(spec["rate"]),
            duration_ns=None if length is None else _ns(length),
            by_fault="start_ns" in spec,
        )
    if executor == "ramping-arrival-rate":
        start = Rate.parse(spec.get("startRate", "0/s"))
        rates = [RateStage(Rate.parse(s["target"]), _ns(s["duration"])) for s in spec["stages"]]
        return RampingRate(start_rate=start, stages=tuple(rates))
    if executor == "constant-vus":
        vus = _count(spec.get("vus", 1))
        return VirtualUsers(first=vus, stages=(VuRamp(vus, _ns(spec["duration"])),))
    if executor == "ramping-vus":
        ramps = [VuRamp(_count(s["target"]), _ns(s["duration"])) for s in spec["stages"]]
        return VirtualUsers(
            first=_count(spec.get("startVUs", 1)),
            stages=tuple(ramps),
            graceful_ramp_down_ns=_ns(spec.get("gracefulRampDown", _GRACEFUL)),
        )
    raise ValueError(f"unknown executor {executor!r}")


def _ns(value: object) -> int:
    return nanoseconds(parse_duration(value))


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no number of virtual users")
    return value


def to_json(scenario: Scenario) -> Json:
    """The keys that `from_json` reads as the same scenario."""
    if isinstance(scenario, ArrivalRate) and scenario.by_fault:
        return {**_executor(scenario), "start_ns": scenario.start_ns}
    again = scenario.retries
    return {
        "startTime": _text(scenario.start_ns),
        "gracefulStop": _text(scenario.graceful_stop_ns),
        "sleep": _text(scenario.sleep_ns),
        "population": scenario.population.to_json(),
        "retries": {"on": "timeout", "at_most": again.at_most, "backoff": _text(again.backoff_ns)}
        if again.at_most
        else None,
        **_executor(scenario),
        **_vus(scenario),
    }


def _executor(scenario: Scenario) -> Json:
    match scenario:
        case ArrivalRate(rate=rate, duration_ns=length):
            duration = None if length is None else _text(length)
            return {"executor": "constant-arrival-rate", "rate": str(rate), "duration": duration}
        case RampingRate(start_rate=start, stages=stages):
            lines = [{"target": str(s.target), "duration": _text(s.duration_ns)} for s in stages]
            return {"executor": "ramping-arrival-rate", "startRate": str(start), "stages": lines}
        case VirtualUsers(first=first, stages=((target, length),)) if target == first:
            return {"executor": "constant-vus", "vus": first, "duration": _text(length)}
        case VirtualUsers(first=first, stages=ramps, graceful_ramp_down_ns=grace_ns):
            return {
                "executor": "ramping-vus",
                "startVUs": first,
                "stages": [{"target": vus, "duration": _text(length)} for vus, length in ramps],
                "gracefulRampDown": _text(grace_ns),
            }
        case _:
            raise TypeError(scenario)


def _vus(scenario: Scenario) -> dict[str, int | None]:
    """The limit of virtual users, which those that have a number of their own do not have."""
    if isinstance(scenario, VirtualUsers):
        return {}
    limit = scenario.limit
    first, most = (None, None) if limit is None else (limit.first, limit.most)
    return {"preAllocatedVUs": first, "maxVUs": most}


def _text(ns: int) -> str:
    return format_duration(timedelta(microseconds=ns // 1000))
