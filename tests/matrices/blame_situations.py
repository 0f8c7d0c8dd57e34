"""The situations of `tests.matrices.blame`: who is held up, how, and whose doing it is.

First those in which the generator fails, then those in which the system does, then those in which
nobody does, and last both at once: then the generator is named, since a run that did not keep its
schedule says nothing about the system's speed.
"""

from collections.abc import Mapping
from typing import Any

from tests.matrices.blame import LENGTH_S, Side, Situation
from tests.matrices.blame_hurdles import Duty, FewFiles, FewPorts, Hogs, Hurdle, Quota, Stopped

SITUATIONS: list[Situation] = []
LENGTH = f"{LENGTH_S:g}s"
Traffic = Mapping[str, Mapping[str, Any]]
LIMITS = ("preAllocatedVUs", "maxVUs")


def limited(first: int, most: int) -> dict[str, int]:
    return dict(zip(LIMITS, (first, most), strict=True))


def rate(per_s: int, **more: Any) -> Traffic:
    spec = {"executor": "constant-arrival-rate", "rate": f"{per_s}/s", "duration": LENGTH}
    return {"drop": spec | more}


def ramp(start: int, target: int, **more: Any) -> dict[str, Any]:
    stages = [{"target": f"{target}/s", "duration": LENGTH}]
    spec = {"executor": "ramping-arrival-rate", "startRate": f"{start}/s", "stages": stages}
    return spec | more


def users(count: int, **more: Any) -> Traffic:
    return {"drop": {"executor": "constant-vus", "vus": count, "duration": LENGTH} | more}


def add(side: Side, name: str, traffic: Traffic, **more: Any) -> None:
    SITUATIONS.append(Situation(name=name, side=side, traffic=traffic, **more))


SLOW = {"delay_ms": 300}
VERY_SLOW = {"delay_ms": 3000}
HANGS = {"how": "silent"}
FAST = {"how": "fast"}
ERRORS = {"status": 500}
ONE_BY_ONE = {"accept": 0.25, "how": "close"}
SEED = {
    "normal": rate(5, sleep="1s", **limited(10, 10))["drop"],
    "peak": ramp(10, 1000, sleep="1s", **limited(50, 50)),
    "stress": ramp(10, 500, sleep="1s", **limited(50, 50)),
}


def stopped(at_s: float, for_s: float | None) -> Hurdle:
    return Stopped(at_s, for_s)


def too_few_virtual_users() -> None:
    add("generator", "few-vus", rate(200, sleep="1s", **limited(10, 10)), says="asleep")
    add("generator", "few-vus-ramping", {"drop": ramp(10, 400, sleep="500ms", **limited(20, 20))})
    add("generator", "few-vus-growing", rate(50, sleep="1s", **limited(1, 5)))
    add("generator", "few-vus-slow-server", rate(100, **limited(10, 10)), server=SLOW)
    both = {"many": rate(300)["drop"], "few": rate(10, sleep="1s", **limited(1, 1))["drop"]}
    add("generator", "few-vus-beside-a-healthy-one", both)
    add("generator", "few-vus-and-errors", rate(200, sleep="1s", **limited(9, 9)), server=ERRORS)
    add("generator", "seed", SEED, speaks_up_to=110.0, says="at most 50/s")


def held_up_workers() -> None:
    one_second = stopped(1, 1.0)
    add("generator", "stopped-200", rate(200), worker_hurdle=one_second, says="stood still")
    add("generator", "stopped-5", rate(5), worker_hurdle=one_second)
    add("generator", "stopped-1000", rate(1000), worker_hurdle=stopped(1, 1.4))
    add("generator", "stopped-2", rate(2), worker_hurdle=one_second)
    add("generator", "stopped-vus", users(20, sleep="100ms"), worker_hurdle=one_second)
    add("generator", "stopped-for-ever", rate(200), worker_hurdle=Stopped(2, LENGTH_S))
    add("generator", "stopped-briefly", rate(200), worker_hurdle=stopped(1, 0.15), mildly=True)
    add("generator", "duty-half", rate(500), worker_hurdle=Duty(100, 150))
    add("generator", "duty-fifth", rate(500), worker_hurdle=Duty(20, 80))
    add("generator", "duty-long", rate(100), worker_hurdle=Duty(700, 300))
    add("generator", "throttled-500", rate(500), worker_hurdle=Quota(0.02), says="throttled")
    add("generator", "throttled-200", rate(200), worker_hurdle=Quota(0.012), says="throttled")
    add("generator", "throttled-ramp", {"drop": ramp(10, 2000)}, worker_hurdle=Quota(0.04))
    add("generator", "throttled-vus", users(20, sleep="20ms"), worker_hurdle=Quota(0.02))
    add("generator", "starved-500", rate(500), worker_hurdle=Hogs(3), says="for a processor")
    add("generator", "starved-2000", rate(2000), worker_hurdle=Hogs(2))
    add("generator", "starved-vus", users(20, sleep="20ms"), worker_hurdle=Hogs(4))
    add("generator", "too-fast", rate(80_000), server=FAST)
    half = {"worker_hurdle": Hogs(1, nice=0), "says": "core was full"}
    add("generator", "full-core-vus", users(100), server=FAST, **half)


def no_files_and_no_ports() -> None:
    second = {"delay_ms": 1000}
    add("generator", "no-files", rate(100), server=second, worker_hurdle=FewFiles(60))
    add("generator", "no-files-hang", rate(100), server=HANGS, worker_hurdle=FewFiles(60))
    add("generator", "no-ports", rate(100), server=second, worker_hurdle=FewPorts(20))
    add("generator", "no-ports-hang", rate(100), server=HANGS, worker_hurdle=FewPorts(20))


def failing_systems() -> None:
    add("system", "slow-300", rate(100), server=SLOW)
    add("system", "slow-3000", rate(50), server=VERY_SLOW, timeout="1s")
    add("system", "slow-ramp", {"drop": ramp(10, 300)}, server=SLOW)
    add("system", "slow-1000-per-s", rate(1000), server=SLOW)
    add("system", "slow-vus", users(20), server=SLOW)
    add("system", "slow-enough-vus", rate(50, **limited(60, 60)), server=SLOW)
    add("system", "slow-holds-vus", rate(100, **limited(50, 50)), server=VERY_SLOW, timeout="4s")
    add("system", "errors", rate(100), server=ERRORS)
    add("system", "some-errors", rate(100), server={"status": 503, "share": 0.2})
    add("system", "resets", rate(100), server={"how": "reset"})
    add("system", "some-resets", rate(100), server={"how": "reset", "share": 0.1})
    add("system", "garbage", rate(100), server={"how": "garbage"})
    add("system", "cut", rate(100), server={"how": "cut"})
    add("system", "refused", rate(100), refused=True)
    add("system", "stalled-1400", rate(500), server_hurdle=stopped(1, 1.4))
    add("system", "stalled-600", rate(100), server_hurdle=stopped(2, 0.6))
    add("system", "hangs-later", rate(200), server_hurdle=Stopped(1.5, LENGTH_S), timeout="1s")
    add("system", "hangs", rate(200), server=HANGS, timeout="1s")
    add("system", "hangs-long", rate(100), server=HANGS, timeout="10s")
    add("system", "hangs-vus", rate(100, **limited(40, 40)), server=HANGS, timeout="10s")
    add("system", "never-accepts", rate(50), server={"accept": "never"}, timeout="1s")
    add("system", "accepts-slowly", rate(50), server=ONE_BY_ONE, timeout="1s")
    add("system", "throttled-server", rate(500), server_hurdle=Quota(0.01))


def nobody() -> None:
    for per_s in (5, 100, 1000):
        add("none", f"healthy-{per_s}", rate(per_s))
    add("none", "healthy-ramp", {"drop": ramp(10, 600)})
    add("none", "healthy-vus", users(10, sleep="100ms"))
    add("none", "healthy-enough-vus", rate(100, sleep="1s", **limited(150, 150)))
    add("none", "healthy-closing", rate(100), server={"how": "close"})
    three = {name: rate(per_s)["drop"] for name, per_s in (("a", 5), ("b", 50), ("c", 200))}
    add("none", "healthy-three", three)
    add("none", "healthy-50-ms", rate(200), server={"delay_ms": 50})


def both() -> None:
    add("generator", "stopped-and-slow", rate(200), server=SLOW, worker_hurdle=stopped(1, 1.0))
    add("generator", "stopped-and-hangs", rate(100), server=HANGS, worker_hurdle=stopped(1, 1.0))
    add("generator", "throttled-and-resets", rate(300), server={"how": "reset"}, **throttled())
    add("generator", "throttled-and-slow", rate(300), server=SLOW, **throttled())
    add("generator", "starved-and-errors", rate(500), server=ERRORS, worker_hurdle=Hogs(3))
    stalls = {"worker_hurdle": stopped(1, 1.0), "server_hurdle": stopped(2, 1.4)}
    add("generator", "stopped-and-stalled", rate(200), **stalls)


def throttled() -> dict[str, Hurdle]:
    return {"worker_hurdle": Quota(0.012)}


for some in (
    too_few_virtual_users,
    held_up_workers,
    no_files_and_no_ports,
    failing_systems,
    nobody,
    both,
):
    some()
